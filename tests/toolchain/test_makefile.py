"""The Makefile's targets exist, are documented, and pass on the variables that other tools rely on."""

import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from typing import get_type_hints

import pytest

import conversion.__main__
import reports.__main__
import trainer.__main__
from spark_jobs.config import parse

PARSERS = {
    "trainer": trainer.__main__.make_parser,
    "conversion": conversion.__main__._parser,
    "reports": reports.__main__._parser,
}
STAGES = ("claims", "ingest", "vocabulary", "sequences", "shards", "pretrain", "convert", "report")


@pytest.fixture(scope="module")
def make(project_root):
    with open(f"{project_root}/Makefile") as file:
        variables = re.findall(r"^([A-Z_]+) \?=", file.read(), re.MULTILINE)
    # Under `make test` the environment holds that make's own variables and flags.
    ours = {*variables, "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["make", *arguments], cwd=project_root, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def commands(make):
    """What `make -n` would run for the given arguments: one list of words a command."""

    def plan(*arguments: str) -> list[list[str]]:
        text = make("-n", *arguments).replace("\\\n", " ")
        lines = [line for line in text.splitlines() if "spark_jobs/" in line or " -m " in line]
        return [[word for word in shlex.split(line) if not word.startswith(">")] for line in lines]

    return plan


def options(command: list[str]) -> dict[str, str]:
    """`--name value` pairs of a command."""
    return {
        name.removeprefix("--"): value for name, value in itertools.pairwise(command) if name.startswith("--")
    }


def test_help_lists_every_target_and_stage(make, project_root):
    with open(f"{project_root}/Makefile") as file:
        targets = re.findall(r"^\.PHONY: ([\w-]+)", file.read(), re.MULTILINE)
    listed = re.findall(r"^  ([\w-]+) ", make("help"), re.MULTILINE)
    assert set(STAGES) <= set(targets)
    assert set(targets) <= set(listed)


def test_help_is_the_default(make):
    assert make() == make("help")


def test_the_variables_that_other_tools_rely_on(commands):
    ingest, vocabulary, sequences = commands(
        *("ingest", "vocabulary", "sequences"),
        *("SOURCE=medbert", "INPUT=x.tsv", "RUN=runs/x", "MIN_PATIENTS=1", "MIN_CODES=1"),
    )
    assert (
        options(ingest).items()
        >= {
            "source": "medbert",
            "input": "x.tsv",
            "output": "runs/x/diagnoses",
        }.items()
    )
    assert options(vocabulary).items() >= {"min_patients": "1", "output": "runs/x/vocabulary"}.items()
    assert options(sequences).items() >= {"min_codes": "1", "vocabulary": "runs/x/vocabulary"}.items()


def test_a_checkpoint_from_anywhere(commands):
    (command,) = commands(
        *("convert", "CHECKPOINT=a/model.ckpt-300", "CONFIG=a/bert_config.json", "VOCABULARY=a/a.types"),
        *("LOS_POOLING=first", "MODEL=out"),
    )
    assert options(command) == {
        "checkpoint": "a/model.ckpt-300",
        "config": "a/bert_config.json",
        "vocabulary": "a/a.types",
        "los_pooling": "first",
        "output": "out",
    }


def test_a_runs_own_checkpoint(commands):
    (command,) = commands("convert", "RUN=runs/of mine")
    assert options(command) == {"run": "runs/of mine/pretrain", "output": "runs/of mine/model"}


def test_a_profile_and_its_gate(commands):
    job, page = commands("profile", "RUN=runs/x", "STAGE=shards/train", "REFERENCE=old/profile/shards/train")
    assert options(job) == {
        "master": "local[*]",
        "driver-memory": "4g",
        "py-files": "dist/medbert_lake.zip",
        "input": "runs/x/shards/train",
        "output": "runs/x/profile/shards/train",
        "vocabulary": "runs/x/vocabulary",
    }
    profile_stage = importlib.import_module("spark_jobs.profile_stage")
    parse(profile_stage.ProfileStage, job[job.index("spark_jobs/profile_stage.py") + 1 :])
    understood = PARSERS["reports"]().parse_args(page[page.index("-m") + 2 :])
    assert understood.profile.reference == "old/profile/shards/train"
    assert "vocabulary" not in options(commands("profile")[0])


def test_no_job_hides_a_module_of_pythons_own(project_root):
    """Under spark-submit spark_jobs/ stands first on the path: a profile.py there would break pyspark."""
    names = {name.removesuffix(".py") for name in os.listdir(f"{project_root}/spark_jobs")}
    assert names & sys.stdlib_module_names == set()


def test_training_is_launched_under_horovod_only_with_several_processes(commands):
    alone, _ = commands("pretrain", "NP=1")
    together, _ = commands("pretrain", "NP=2")
    assert alone[0].endswith("python")
    assert together[1:5] == ["-m", "trainer.launch", "-np", "2"]
    assert together[-len(alone) :] == alone


def test_one_process_is_launched_under_horovod_where_that_has_arguments(commands):
    elastic, _ = commands("pretrain", "NP=1", "HOROVOD_ARGS=--min-np 1 --host-discovery-script hosts.sh")
    assert elastic[1:6] == ["-m", "trainer.launch", "-np", "1", "--gloo"]
    assert elastic[6:10] == ["--min-np", "1", "--host-discovery-script", "hosts.sh"]


def test_the_demos_processes_do_not_share_a_gpu(make):
    assert "demo: CUDA_VISIBLE_DEVICES := -1" in make("-np", "demo").splitlines()


def test_every_command_of_the_demo_is_one_that_its_program_understands(commands, monkeypatch, project_root):
    monkeypatch.chdir(project_root)
    understood = []
    for command in commands("demo", "RUN=runs/demo of mine"):
        scripts = [word for word in command if word.startswith("spark_jobs/")]
        if scripts:
            job = importlib.import_module(scripts[0].removesuffix(".py").replace("/", "."))
            parse(get_type_hints(job.main)["config"], command[command.index(scripts[0]) + 1 :])
            understood.append(scripts[0])
        else:
            start = len(command) - command[::-1].index("-m")  # the launcher's -m comes before
            PARSERS[command[start]]().parse_args(command[start + 1 :])
            understood.append(command[start])
    jobs = ("generate_claims", "preprocess")
    programs = ["trainer", "reports", "conversion", "reports", "reports"]
    assert understood == [f"spark_jobs/{job}.py" for job in jobs] + programs


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("extend-vocabulary", {"vocabulary": "runs/x/vocabulary", "output": "runs/x/model_changed"}),
        ("shrink", {"min_patients": "11", "output": "runs/x/model_changed"}),
        ("embed", {"patients": "runs/x/sequences", "output": "runs/x/embeddings"}),
        ("export-onnx", {"output": "runs/x/onnx"}),
        ("release-check", {"shards": "runs/x/shards", "metrics": "runs/x/pretrain/metrics.jsonl"}),
    ],
)
def test_what_is_done_with_a_model(commands, target, wanted):
    command, *page = commands(target, "RUN=runs/x")
    assert options(command).items() >= {"model": "runs/x/model", **wanted}.items()
    for words in (command, *page):
        start = words.index("-m") + 1
        PARSERS[words[start]]().parse_args(words[start + 1 :])
    assert [options(words)["output"] for words in page] == ["runs/x/embeddings.html"] * (target == "embed")


def test_defaults_are_the_house_rules(commands):
    _, vocabulary, sequences = commands("ingest", "vocabulary", "sequences")
    assert options(vocabulary)["min_patients"] == "11"
    assert options(sequences)["min_codes"] == "4"
