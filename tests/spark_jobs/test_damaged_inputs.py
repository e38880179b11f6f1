"""Published folders whose bytes were changed: each stage refuses them in words, or reads what was written."""

from __future__ import annotations

import os
import shutil

import pyarrow as pa
import pytest

from schemas import diagnoses, vocabulary
from schemas.diagnoses import DIAGNOSES
from schemas.errors import ContractError
from schemas.manifest import Manifest
from schemas.sequences import SEQUENCES
from spark_jobs import (
    generate_claims,
    map_codes,
    profile_stage,
    write_shards,
)
from spark_jobs.files.diagnosis_files import KEYS, read_rows, read_wanted
from spark_jobs.files.listed_tables import ListedFile
from spark_jobs.files.publish import read_published
from spark_jobs.files.sequence_files import SequenceFile
from spark_jobs.vocabularies import read_tokens
from spark_jobs.worker_errors import errors_of_workers
from tests.mutated_bytes import mutations
from tests.spark_jobs.pipeline import Run

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def run(spark, tmp_path_factory):
    """A run from claims to shards."""
    root = str(tmp_path_factory.mktemp("run"))
    generate_claims.main(spark, generate_claims.GenerateClaims(f"{root}/claims", patients=300))
    made = Run(spark, root)
    made.ingest("claims", f"{root}/claims", as_of="2022-12-31")
    made.vocabulary()
    made.sequences()
    write_shards.main(spark, shards_of(root))
    return made


def shards_of(root):
    return write_shards.WriteShards(f"{root}/sequences", f"{root}/vocabulary", f"{root}/shards", min_shards=2)


@pytest.fixture
def copy(run, tmp_path):
    """The same run, to be damaged."""
    shutil.copytree(run.root, tmp_path / "run")
    return Run(run.spark, str(tmp_path / "run"))


def first_file(run, folder, ending=".parquet"):
    return next(f.path for f in run.manifest(folder).files if f.path.endswith(ending))


def flip_in_the_middle(path):
    with open(path, "r+b") as stream:
        size = os.path.getsize(path)
        stream.seek(size // 2)
        (byte,) = stream.read(1)
        stream.seek(size // 2)
        stream.write(bytes([byte ^ 1]))


STAGES = {
    "ingest": (
        "claims",
        lambda run: run.ingest("claims", run.path("claims"), as_of="2022-12-31"),
    ),
    "ingest of a part": (
        "claims",
        lambda run: run.ingest("claims", run.path("claims"), as_of="2022-12-31", max_patients=50),
    ),
    "vocabulary": ("diagnoses", lambda run: run.vocabulary()),
    "map": (
        "diagnoses",
        lambda run: map_codes.main(
            run.spark, map_codes.MapCodes(run.path("diagnoses"), run.path("mapped"), roll_up="three")
        ),
    ),
    "sequences": ("diagnoses", lambda run: run.sequences()),
    "sequences of other parts": ("diagnoses", lambda run: run.sequences(num_partitions=3)),
    "shards": ("sequences", lambda run: write_shards.main(run.spark, shards_of(run.root))),
    "profile of claims": ("claims", lambda run: profile(run, "claims")),
    "profile of diagnoses": ("diagnoses", lambda run: profile(run, "diagnoses")),
    "profile of a vocabulary": ("vocabulary", lambda run: profile(run, "vocabulary")),
    "profile of sequences": ("sequences", lambda run: profile(run, "sequences")),
    "profile of shards": ("shards/train", lambda run: profile(run, "shards/train")),
}


def profile(run, folder):
    config = profile_stage.ProfileStage(run.path(folder), run.path("profile"), run.path("vocabulary"))
    profile_stage.main(run.spark, config)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_refuses_a_file_of_its_input_in_which_a_bit_changed(copy, stage):
    folder, work = STAGES[stage]
    path = first_file(copy, folder)
    flip_in_the_middle(f"{copy.path(folder)}/{path}")
    with pytest.raises(
        ContractError, match=f"^{copy.path(folder)}/{path} is not the file that was published: its SHA"
    ):
        work(copy)


@pytest.mark.parametrize("stage", ["sequences", "shards"])
@pytest.mark.parametrize("byte", [b"X", b"\xff"])
def test_a_stage_refuses_a_vocabulary_with_another_code(copy, stage, byte):
    path = copy.path("vocabulary/vocab.txt")
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) - 2)
        stream.write(byte)
    with pytest.raises(ContractError, match=r"vocab\.txt is not the file that was published: its SHA-256"):
        STAGES[stage][1](copy)


@pytest.mark.parametrize("folder", ["diagnoses", "sequences", "vocabulary"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_a_manifest_that_is_none_is_refused(copy, folder, content):
    with open(copy.path(f"{folder}/manifest.json"), "wb") as stream:
        stream.write(content)
    with pytest.raises(ContractError, match=r"manifest\.json cannot be read"):
        read_published(copy.spark, copy.path(folder), folder)


def test_a_link_out_of_the_folder_is_refused(copy, tmp_path):
    path = f"{copy.path('diagnoses')}/{first_file(copy, 'diagnoses')}"
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(ContractError, match="link that leads out of its folder"):
        copy.vocabulary()


def diagnoses_in(file):
    rows = pa.Table.from_batches(read_rows(file, DIAGNOSES.column_names))
    wanted = pa.Table.from_batches(
        read_wanted(file, KEYS, lambda keys: keys["code"].is_valid().to_numpy(False))
    )
    return rows, wanted


def patients_in(file):
    return pa.Table.from_batches(SequenceFile(file).read(SEQUENCES.column_names))


@pytest.mark.parametrize(("folder", "read"), [("diagnoses", diagnoses_in), ("sequences", patients_in)])
def test_any_change_of_a_table_is_refused_or_changes_nothing(copy, folder, read):
    manifest: Manifest = copy.manifest(folder)
    listed = ListedFile(f"file:{copy.path(folder)}", copy.path(folder), manifest.files[0])
    path = f"{copy.path(folder)}/{manifest.files[0].path}"
    with open(path, "rb") as stream:
        original = stream.read()
    before = read(listed)
    refused = 0
    for content in mutations(original, 200):
        with open(path, "wb") as stream:
            stream.write(content)
        if content == original:
            assert read(listed) == before
            continue
        with pytest.raises(
            ContractError, match=f"{manifest.files[0].path} is not the file that was published"
        ):
            read(listed)
        refused += 1
    assert refused > 150


@pytest.mark.parametrize("name", ["vocab.txt", "manifest.json"])
def test_any_change_of_a_vocabulary_is_refused_or_changes_nothing(copy, name):
    """The size is the same, so that its SHA-256 alone can tell."""
    uri = copy.path("vocabulary")
    with open(f"{uri}/{name}", "rb") as stream:
        original = stream.read()
    before = read_tokens(copy.spark, read_published(copy.spark, uri, vocabulary.KIND))
    refused = 0
    for content in mutations(original, 160):
        with open(f"{uri}/{name}", "wb") as stream:
            stream.write(content)
        try:
            found = read_tokens(copy.spark, read_published(copy.spark, uri, vocabulary.KIND))
        except ContractError:
            refused += 1
        else:
            assert found == before
    assert refused > 100


def test_a_damaged_table_is_refused_by_a_task(copy):
    """As a ContractError, not as Spark's."""
    flip_in_the_middle(f"{copy.path('diagnoses')}/{first_file(copy, 'diagnoses')}")
    source = read_published(copy.spark, copy.path("diagnoses"), diagnoses.KIND)
    from spark_jobs.files.listed_tables import read_table

    with pytest.raises(ContractError), errors_of_workers():
        read_table(copy.spark, source, DIAGNOSES).collect()
