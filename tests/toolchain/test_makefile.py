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
PACKAGE = "dist/medbert_lake.zip"
STAGES = ("claims", "ingest", "vocabulary", "sequences", "shards", "pretrain", "convert", "report")


@pytest.fixture(scope="module")
def run_make(project_root):
    with open(f"{project_root}/Makefile") as file:
        variables = re.findall(r"^([A-Z_]+) \?=", file.read(), re.MULTILINE)
    # Under `make test` the environment holds that make's own variables and flags.
    ours = {*variables, "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["make", *arguments], cwd=project_root, capture_output=True, text=True, env=environment
        )

    return run


@pytest.fixture(scope="module")
def make(run_make):
    """What make prints."""

    def run(*arguments: str) -> str:
        done = run_make(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def refused(run_make):
    """What make prints as it fails."""

    def run(*arguments: str) -> str:
        done = run_make(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

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


def test_the_python_that_made_the_environment_is_remembered(run_make, project_root, tmp_path):
    """Another that comes first on PATH does not take its place."""
    for name in ("Makefile", "toolchain"):
        os.symlink(f"{project_root}/{name}", tmp_path / name)
    python = tmp_path / "python3.12"
    python.touch()

    def started(*arguments: str) -> str:
        done = run_make("-C", str(tmp_path), "-n", "package", *arguments)
        return done.stdout.partition('"')[2].partition('"')[0]

    on_path = started()
    assert on_path == "", "the doctor chooses"
    for folder in (".venv.old", ".venv"):  # it is aside while another is made
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pyvenv.cfg").write_text(f"home = x\nexecutable = {python}\nversion = 3.12.1\n")
        assert started() == str(python)
        assert started("PYTHON=another") == "another"
    python.unlink()
    assert started() == on_path


NEEDS = {
    "setup": "",
    "claims": "spark",
    "ingest map vocabulary sequences shards": "spark",
    "preprocess": "spark",
    "refresh": "spark",
    "profile": "spark",
    "pretrain": "torch",
    "pretrain BACKEND=tensorflow": "tensorflow",
    "pretrain BACKEND=jax": "",  # the trainer says that there is none
    "convert": "torch",
    "convert BACKEND=tensorflow": "torch tensorflow",
    "convert CHECKPOINT=a/model.ckpt-300": "torch tensorflow",
    "extend-vocabulary": "torch",
    "shrink": "torch",
    "embed": "torch",
    "release-check": "torch",
    "export-onnx": "serve",
    "report": "",
    "lock": "",
    "preprocess pretrain": "spark torch",
    "lint": "spark torch tensorflow serve dev",
    "bench-train": "torch tensorflow dev",
}
ADD_THEIRS = {
    "demo": "spark torch",
    "demo BACKEND=tensorflow": "spark torch tensorflow",
    "test": "spark torch tensorflow serve dev",
    "test-cluster": "spark dev",
}


@pytest.fixture(scope="module")
def set_ups(make):
    """What set-up would be asked for before a target, once for each time that it would run."""

    def plan(*arguments: str) -> list[list[str]]:
        lines = make("-n", *arguments).replace("\\\n", " ").splitlines()
        return [shlex.split(line)[2:] for line in lines if "toolchain/run.sh" in line and " install " in line]

    return plan


@pytest.mark.parametrize("target", [*NEEDS, *ADD_THEIRS])
def test_the_groups_that_a_target_needs(set_ups, toolchain, target):
    first = set_ups(*target.split())[0]
    asked = toolchain("install").arguments_of(first[2:])
    assert sorted(set(asked.need.split())) == sorted((NEEDS | ADD_THEIRS)[target].split())
    assert asked.add is (target in ADD_THEIRS) and asked.verbose is (target == "setup")
    assert (asked.groups, asked.horovod, asked.gpu, asked.torch_index) == ("", None, None, None)


def test_the_demo_s_own_targets_need_no_more_than_it_adds(set_ups):
    for backend in ("torch", "tensorflow"):
        outer, inner = set_ups("demo", f"BACKEND={backend}")
        needed = [set(words[words.index("--need") + 1].split()) for words in (outer, inner)]
        assert needed[1] <= needed[0]


def test_what_set_up_is_to_choose(set_ups, toolchain):
    variables = ("GROUPS=spark dev", "HOROVOD=0", "GPU=1", "TORCH_INDEX=/a folder", "PYTHON=/a python")
    for target in ("setup", "claims", "demo"):
        first = set_ups(target, *variables)[0]
        assert first[:2] == ["/a python", "install"]
        asked = toolchain("install").arguments_of(first[2:])
        assert (asked.groups, asked.horovod, asked.gpu) == ("spark dev", "0", "1")
        assert asked.torch_index == "/a folder"


def test_every_target_that_runs_something_is_set_up_first(project_root, set_ups):
    with open(f"{project_root}/Makefile") as file:
        targets = re.findall(r"^\.PHONY: ([\w-]+)", file.read(), re.MULTILINE)
    without = ("help", "doctor", "package", "clean", "test-fresh")
    assert [target for target in targets if not set_ups(target)] == [t for t in targets if t in without]


def test_jobs_start_by_way_of_spark_submit_of_the_environment(commands, make, project_root):
    for command in commands("claims", "preprocess", "profile", "SPARK_ARGS=--conf a=b")[:3]:
        assert command[:2] == [f"{project_root}/.venv/bin/python", "toolchain/spark_submit.py"]
        assert command[2:10] == [
            *("--local_dir", "runs/default/.spark"),
            *("--master", "local[*]"),
            *("--driver-memory", "4g"),
            *("--py-files", PACKAGE),
        ]
        assert command[10:12] == ["--conf", "a=b"] and command[12].startswith("spark_jobs/")
    assert f"SPARK_HOME := {project_root}/.venv/spark/home" in make("-np", "claims").splitlines()


def test_the_demo_trains_with_one_process_where_horovod_was_left_out(run_make, project_root, tmp_path):
    for name in os.listdir(project_root):
        if not name.startswith("."):
            os.symlink(f"{project_root}/{name}", tmp_path / name)

    def processes(*arguments: str) -> str:
        done = run_make("-C", str(tmp_path), "-n", "demo", *arguments)
        assert done.returncode == 0, done.stderr
        found = re.search(r"trainer\.launch -np (\d)", done.stdout)
        return found[1] if found else "1"

    assert processes() == "1" and processes("NP=3") == "3"
    (tmp_path / ".venv/lib/python3.12/site-packages/horovod").mkdir(parents=True)
    assert processes() == "2" and processes("NP=1") == "1"


def test_help_shows_no_inner_workings_as_a_default(make):
    text = make("help")
    assert re.findall(r"\[\$\([a-z].*", text) == []
    for name in ("GROUPS", "PYTHON", "HOROVOD", "GPU", "TORCH_INDEX"):
        assert re.search(rf"^  {name} +\S.*[^\]]$", text, re.MULTILINE)
    assert re.search(r"^  NP .*\[1\]$", text, re.MULTILINE) and "[$(RUN)/claims]" in text


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
    assert options(command) == {
        "run": "runs/of mine/pretrain",
        "shards_if_there": "runs/of mine/shards/valid",
        "output": "runs/of mine/model",
    }


ODD = 'runs/it\'s "50%" `a` #1? $$x,(b)[c]*\\'
TARGETS = (
    *("claims", "ingest", "map", "vocabulary", "sequences", "shards", "preprocess", "profile", "pretrain"),
    *("training-report", "convert", "extend-vocabulary", "shrink", "embed", "export-onnx", "release-check"),
    "report",
)


def test_every_target_passes_on_a_run_folder_as_it_is(commands):
    """Whatever signs are in it; what a shell would make of the command is compared."""
    plain = ODD.replace("$$", "$")
    for usual, odd in zip(commands(*TARGETS, "RUN=R"), commands(*TARGETS, f"RUN={ODD}"), strict=True):
        assert [re.sub(r"^R(?=/|$)", lambda _: plain, word) for word in usual] == odd


def test_the_demo_hands_its_folder_on_as_it_is(make):
    commands = make("-n", "demo", f"RUN={ODD}")
    assert f"--output {shlex.quote(ODD.replace('$$', '$') + '/claims')}" in commands.replace(
        "'\\''", "'\"'\"'"
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("RUN", "a\nb", "a line break"),
        ("INPUT", "a:b", "a colon"),
        ("RUN", "a$b", "write $$"),
        ("METRICS", "~/a", "with ~"),
    ],
)
def test_a_path_that_programs_would_refuse_is_refused_first(
    project_root, tmp_path, run_make, name, value, why
):
    """By set-up, on which every target depends; here by a set-up that does nothing else."""
    (tmp_path / "toolchain").mkdir()
    for tool in ("check_paths.py", "help.awk"):
        os.symlink(f"{project_root}/toolchain/{tool}", tmp_path / "toolchain" / tool)
    (tmp_path / "toolchain/run.sh").touch()
    for tool in ("Makefile", "schemas"):
        os.symlink(f"{project_root}/{tool}", tmp_path / tool)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    os.symlink(sys.executable, tmp_path / ".venv/bin/python")
    done = run_make("-C", str(tmp_path), "claims", f"{name}={value}")
    assert done.returncode != 0 and why in done.stderr and f"error: {name} is " in done.stderr
    assert "spark_submit" not in done.stdout


def test_a_profile_and_its_gate(commands):
    job, page = commands("profile", "RUN=runs/x", "STAGE=shards/train", "REFERENCE=old/profile/shards/train")
    assert options(job) == {
        "local_dir": "runs/x/.spark",
        "master": "local[*]",
        "driver-memory": "4g",
        "py-files": "dist/medbert_lake.zip",
        "input": "runs/x/shards/train",
        "output": "runs/x/profile/shards/train",
        "vocabulary": "runs/x/vocabulary",
        "reference": "old/profile/shards/train",
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
        (
            "embed",
            {
                "patients": "runs/x/sequences",
                "vocabulary": "runs/x/vocabulary",
                "output": "runs/x/embeddings",
            },
        ),
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
    assert "--metrics" not in commands(target, "RUN=runs/x", "METRICS=")[0]
    assert [options(words)["output"] for words in page] == ["runs/x/embeddings.html"] * (target == "embed")


STAGE_OPTIONS = {
    "SOURCE=medbert": {"ingest.source": "medbert"},
    "INPUT=in put": {"ingest.input": "in put"},
    "FOLLOW=now": {"ingest.follow": "now"},
    "MAX_PATIENTS=500": {"ingest.max_patients": 500},
    "TYPES=a.types": {"vocabulary.types": "a.types"},
    "MIN_PATIENTS=12": {"vocabulary.min_patients": 12},
    "EXTEND=o/vocabulary": {"vocabulary.extend": "o/vocabulary"},
    "MIN_CODES=3": {"sequences.min_codes": 3},
    "VISITS=overlap": {"sequences.visits": "overlap"},
    "REFRESH=1": {"sequences.refresh": True},
    "FORMATS=[tfrecord]": {"shards.formats": ["tfrecord"]},
    "SEED=7": {"shards.seed": 7},
}


@pytest.mark.parametrize("variable", STAGE_OPTIONS)
def test_preprocess_hears_every_variable_of_its_stages(commands, variable):
    preprocess = importlib.import_module("spark_jobs.preprocess")
    (command,) = commands("preprocess", "RUN=runs/x", variable)
    given = parse(preprocess.Preprocess, command[command.index("spark_jobs/preprocess.py") + 1 :])
    for option, value in STAGE_OPTIONS[variable].items():
        stage, name = option.split(".")
        assert getattr(getattr(given, stage), name) == value
    assert given.sequences.diagnoses == given.ingest.output == "runs/x/diagnoses"
    assert given.shards.vocabulary == given.vocabulary.output == "runs/x/vocabulary"


def test_refresh_follows_the_claims_up_to_the_sequences(commands):
    preprocess = importlib.import_module("spark_jobs.preprocess")
    for arguments, follow in (((), "now"), (("FOLLOW=",), "now"), (("FOLLOW=1 day",), "1 day")):
        (command,) = commands("refresh", "VISITS=overlap", *arguments)
        given = parse(preprocess.Preprocess, command[command.index("spark_jobs/preprocess.py") + 1 :])
        assert (given.ingest.follow, given.sequences.visits, given.shards) == (follow, "overlap", None)


@pytest.mark.parametrize("target", ["preprocess", "refresh"])
@pytest.mark.parametrize(
    ("name", "own", "other"),
    [("DIAGNOSES", "diagnoses", "diagnoses_mapped"), ("VOCABULARY", "vocabulary", "other/vocabulary")],
)
def test_what_the_stages_hand_on_cannot_be_another(commands, refused, target, name, own, other):
    assert commands(target, "RUN=runs/x", f"{name}=runs/x/{own}")
    message = refused("-n", target, "RUN=runs/x", f"{name}=runs/x/{other}")
    assert f"{name} is runs/x/{other}" in message and "Run: make" in message
    assert commands("sequences", "RUN=runs/x", f"{name}=runs/x/{other}")


def test_defaults_are_the_house_rules(commands):
    _, vocabulary, sequences = commands("ingest", "vocabulary", "sequences")
    assert options(vocabulary)["min_patients"] == "11"
    assert options(sequences)["min_codes"] == "4"
