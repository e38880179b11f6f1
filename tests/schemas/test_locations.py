"""One rule for every path of every program: any that all tools read alike, and no other."""

import dataclasses
import importlib
import os
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import conversion.__main__
import reports.__main__
import trainer.__main__
from schemas.checkpoint import under_plain_name
from schemas.errors import ContractError
from schemas.locations import LOCATION_OPTIONS, check_location, check_locations
from schemas.manifest import Manifest, describe_file, join, publish_manifest, read_listed, read_manifest
from trainer.config import PretrainConfig
from trainer.forward import ForwardConfig

NO_LOCATIONS = {
    *("as_of", "changed_files", "condition_system", "device", "domains", "drug_system", "follow", "format"),
    *("format_options", "formats", "from_system", "one_to_many", "procedure_system", "roll_up_from"),
    *("roll_up_to", "settle", "shared_group", "source", "split_salt", "splits", "systems", "to_system"),
    *("variants", "visit", "visits"),
}
JOBS = (
    *("build_sequences", "build_vocabulary", "generate_claims", "ingest_claims", "map_codes"),
    *("preprocess", "profile_stage", "write_shards"),
)

PLAIN = [
    *("runs/mine", "/data/a b/run", "run'\"`$(x)", "a#b?c%20d&e;f,g", "[a]*{b}\\c", "-é😀=+@^!~|<>()"),
    *("s3://bucket/run#1", "hdfs://name:8020/run", "file:/a?b", "file:///a[b]", "s3://arn:aws:s3:x/run"),
    *("../run", "."),
]
REFUSED = {
    "a\nb": "line break",
    "a\tb": "control character",
    "a\x00b": "control character",
    " a": "begins or ends",
    "a ": "begins or ends",
    "": "is empty",
    "~/run": "begins with ~",
    "a:b": "colon",
    "/data/2024:05/run": "colon",
    "file:/a:b": "colon",
    "simplecache::s3://b/run": "colon",
    "s3://b/run*": "sign *",
    "s3://b/run[1]": "sign [",
}


@pytest.mark.parametrize("location", PLAIN)
def test_a_path_is_that_path(location):
    check_location("RUN", location)


@pytest.mark.parametrize("location", REFUSED)
def test_what_tools_read_in_different_ways_is_refused(location):
    with pytest.raises(ContractError, match=r"Rule: .* Remedy: ") as refused:
        check_location("RUN", location)
    assert f"RUN is {location!r}" in str(refused.value) and REFUSED[location] in str(refused.value)
    assert "\n" not in str(refused.value)


def _accepted(name: str) -> bool:
    try:
        check_location("RUN", f"x/{name}")
    except ContractError:
        return False
    return "/" not in name and name not in (".", "..") and len(name.encode(errors="replace")) < 200


@settings(deadline=None, max_examples=50)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(_accepted))
def test_every_accepted_name_is_one_folder(name, tmp_path_factory):
    """Written and read back through our file functions, beside folders that a pattern would reach."""
    parent = str(tmp_path_factory.mktemp("run"))
    for sibling in ("a", "b", "ab"):
        os.makedirs(join(parent, sibling), exist_ok=True)
    folder = join(parent, name)
    os.makedirs(folder, exist_ok=True)
    with open(join(folder, "x.txt"), "w") as file:
        file.write(name)
    publish_manifest(folder, Manifest(kind="test", files=(describe_file(folder, "x.txt", 1),)))
    manifest = read_manifest(folder, "test", verify=True)
    assert read_listed(folder, manifest.files[0]).decode() == name
    assert set(os.listdir(folder)) == {"x.txt", "manifest.json"}
    assert set(os.listdir(parent)) == {"a", "b", "ab", name}


def _text_options(options: type):
    for field in dataclasses.fields(options):
        hint = get_type_hints(options)[field.name]
        for part in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(part):
                yield from _text_options(part)
            elif part is str:
                yield field.name


def _all_options():
    for job in JOBS:
        yield get_type_hints(importlib.import_module(f"spark_jobs.{job}").main)["config"]
    for program in (conversion.__main__, reports.__main__):
        yield from (command.options for command in program.COMMANDS.values())
    yield from (PretrainConfig, ForwardConfig)


def test_every_option_of_text_is_a_location_or_known_to_be_none():
    found = {name for options in _all_options() for name in _text_options(options)}
    assert found - NO_LOCATIONS == LOCATION_OPTIONS


@pytest.mark.parametrize(
    ("program", "arguments", "option"),
    [
        (conversion.__main__.main, ["export-onnx", "--model=a:b", "--output=o"], "--model"),
        (reports.__main__.main, ["run", "--run=r", "--output=a\nb"], "--output"),
        (
            trainer.__main__.main,
            ["pretrain", "--data.shards=~/s", "--data.vocabulary=v", "--output=o"],
            "--data.shards",
        ),
    ],
    ids=["conversion", "reports", "trainer"],
)
def test_programs_refuse_a_location_before_anything_runs(program, arguments, option, capsys, caplog):
    assert program(arguments) != 0
    assert f"{option} is " in capsys.readouterr().err + caplog.text


def test_a_job_refuses_a_location_before_spark_starts():
    job = importlib.import_module("spark_jobs.write_shards")
    parse = importlib.import_module("spark_jobs.config").parse
    with pytest.raises(ContractError, match=r"^--output is 'a:b'"):
        parse(job.WriteShards, ["--sequences=s", "--vocabulary=v", "--output=a:b"])


def test_nested_options_are_named_as_they_are_given():
    preprocess = importlib.import_module("spark_jobs.preprocess")
    options = preprocess.Preprocess(
        preprocess.IngestClaims(source="claims", input="i", output="o"),
        preprocess.BuildVocabulary(output="v", diagnoses="o"),
        preprocess.BuildSequences(diagnoses="o", vocabulary="v", output="a:b"),
    )
    with pytest.raises(ContractError, match=r"^--sequences\.output is 'a:b'"):
        check_locations(options)


@pytest.mark.parametrize("folder", ["plain", "a[b]", "a?", "a\\b", "a*"])
def test_tensorflow_is_given_no_pattern(tmp_path, folder):
    files = {
        "model.ckpt-3.index": "i",
        "model.ckpt-3.data-00000-of-00001": "d",
        "model.ckpt-30.index": "other",
    }
    (tmp_path / folder).mkdir()
    for name, content in files.items():
        (tmp_path / folder / name).write_text(content)
    prefix = str(tmp_path / folder / "model.ckpt-3")
    with under_plain_name(prefix) as plain:
        assert (plain == prefix) == (folder == "plain") and not set("*?[]\\") & set(plain)
        for ending, content in ((".index", "i"), (".data-00000-of-00001", "d")):
            with open(plain + ending) as file:
                assert file.read() == content
        assert os.path.exists(plain + "0.index") == (folder == "plain")
