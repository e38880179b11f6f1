"""What a stage takes away from its output folder, and what it leaves alone."""

import os

import pytest

from schemas.errors import ContractError
from schemas.manifest import Manifest
from spark_jobs.files.publish import publish, start_output, write_file, write_parquet
from tests.spark_jobs.stages import files_in

pytestmark = pytest.mark.spark


def _write(spark, uri, subfolder="", done=True, **options):
    folder = start_output(spark, str(uri), **options)
    files = write_parquet(spark.range(0, 30, numPartitions=2), folder, subfolder=subfolder)
    if done:
        publish(folder, Manifest("numbers", files=tuple(files)))


def _put(path, content=b"mine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_input_as_output_in_another_spelling(spark, tmp_path):
    with pytest.raises(ContractError, match="both input and output"):
        start_output(spark, f"file:{tmp_path}/x", [f"{tmp_path}/y", f"{tmp_path}/x/"])


@pytest.mark.parametrize(("output", "given"), [("x", "x/raw"), ("x/raw/out", "x/raw"), ("x", "x/raw/y.csv")])
def test_an_output_around_or_within_an_input_is_refused(spark, tmp_path, output, given):
    raw = _put(tmp_path / "x" / "raw" / "part-00000.parquet")
    with pytest.raises(ContractError, match="one lies in the other"):
        start_output(spark, str(tmp_path / output), [str(tmp_path / given)])
    assert raw.exists()


def test_a_name_that_only_begins_alike_is_another_folder(spark, tmp_path):
    start_output(spark, str(tmp_path / "x_rejected"), [str(tmp_path / "x")])


def test_folders_below_are_left_alone(spark, tmp_path):
    """Those of other stages, and those of raw data."""
    _write(spark, tmp_path / "diagnoses")
    raw = _put(tmp_path / "raw" / "part-00000.parquet")
    for done in (True, False, True):  # the last finds what a killed one left
        _write(spark, tmp_path, done=done)
    assert raw.read_bytes() == b"mine"
    assert len(files_in(str(tmp_path / "diagnoses"))) == 3


def test_part_files_that_no_stage_wrote_are_refused_and_stay(spark, tmp_path):
    """In a folder that no stage has used, and beside a stage's own."""
    mine = _put(tmp_path / "part-00007.parquet")
    with pytest.raises(ContractError, match=r"part-00007\.parquet was not written by a stage"):
        _write(spark, tmp_path)
    assert files_in(str(tmp_path)) == {"part-00007.parquet"}
    mine.rename(tmp_path / "kept")
    _write(spark, tmp_path)
    (tmp_path / "kept").rename(mine)
    with pytest.raises(ContractError, match="was not written by a stage"):
        _write(spark, tmp_path)
    assert files_in(str(tmp_path)) == {
        "manifest.json", "part-00000.parquet", "part-00001.parquet", "part-00007.parquet",
    }  # fmt: skip


def test_what_a_killed_stage_left_is_cleared(spark, tmp_path):
    _write(spark, tmp_path, "sub", done=False, subfolders=["sub"])
    _put(tmp_path / "_writing" / "data" / "part-00000.parquet")
    start_output(spark, str(tmp_path), subfolders=["sub"])
    assert not any(path.endswith("parquet") for path in files_in(str(tmp_path)))


def test_a_stage_with_other_folders_clears_all_that_was_published(spark, tmp_path):
    """Also where the first try is killed before it has removed anything."""
    _write(spark, tmp_path, "split=train")
    old = files_in(str(tmp_path)) - {"manifest.json"}
    os.rename(tmp_path / "manifest.json", tmp_path / ".manifest.json.unfinished")
    _write(spark, tmp_path)
    now = files_in(str(tmp_path))
    assert not old & now
    assert now == {"manifest.json", "part-00000.parquet", "part-00001.parquet"}


def test_parts_beside_a_manifest_that_cannot_be_read_are_a_stage_s(spark, tmp_path):
    _write(spark, tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    start_output(spark, str(tmp_path))
    assert files_in(str(tmp_path)) == {".manifest.json.unfinished"}


def test_files_of_other_names_go_with_their_manifest(spark, tmp_path):
    folder = start_output(spark, str(tmp_path))
    publish(folder, Manifest("words", files=(write_file(folder, "words.txt", b"a", 1),)))
    _put(tmp_path / "notes.txt")
    start_output(spark, str(tmp_path))
    assert files_in(str(tmp_path)) == {".manifest.json.unfinished", "notes.txt"}
