"""A second job with the output of one that runs."""

import os
from pathlib import Path

import pytest

from schemas.lease import LEASE_NAME, FolderInUse, Holder, hold
from schemas.manifest import MANIFEST_NAME, Manifest, publish_manifest
from schemas.vocabulary import KIND
from spark_jobs import (
    build_sequences,
    build_vocabulary,
    generate_claims,
    ingest_claims,
    map_codes,
    preprocess,
    profile_stage,
    write_shards,
)
from spark_jobs.files.leases import HadoopFiles
from spark_jobs.files.replacing import NEXT, finish_take_over
from spark_jobs.ingest_options import IngestClaims

pytestmark = pytest.mark.spark

# Of each job what it must be given: no input is there, and none is looked at.
JOBS = {
    generate_claims: lambda output: generate_claims.GenerateClaims(output),
    ingest_claims: lambda output: IngestClaims("medbert", "none", output),
    map_codes: lambda output: map_codes.MapCodes("none", output),
    build_vocabulary: lambda output: build_vocabulary.BuildVocabulary(output, "none"),
    build_sequences: lambda output: build_sequences.BuildSequences("none", "none", output),
    write_shards: lambda output: write_shards.WriteShards("none", "none", output),
    profile_stage: lambda output: profile_stage.ProfileStage("none", output),
}
OF_MANY = {preprocess}


@pytest.mark.parametrize("job", JOBS)
def test_the_second_is_refused(spark, tmp_path, job):
    output = str(tmp_path / "output")
    with hold(output):
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on"):
            job.main(spark, JOBS[job](f"file:{output}/"))
        assert os.listdir(output) == [LEASE_NAME]
    assert os.listdir(tmp_path) == []


def test_a_folder_that_only_hadoop_reaches(spark, tmp_path):
    folder, files = f"file:{tmp_path}/output", HadoopFiles(spark)
    with hold(folder, filesystem=files) as lease:
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on"), hold(folder, filesystem=files):
            pass
        lease.acquire()
        lease._refresh()
        assert Path(tmp_path, "output", LEASE_NAME).exists()
    assert not Path(tmp_path, "output", LEASE_NAME).exists()
    with pytest.raises(FileNotFoundError):
        files.cat_file(f"{folder}/{LEASE_NAME}")


def test_a_stale_lease_that_only_hadoop_reaches_is_taken_over(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("schemas.lease.STALE_SECONDS", 0.0)
    (tmp_path / LEASE_NAME).write_text("a lease that nobody can read")
    folder, files = f"file:{tmp_path}", HadoopFiles(spark)
    with hold(folder, filesystem=files):
        assert f"process {os.getpid()} on" in lease_holder(tmp_path)
    assert [name for name in os.listdir(tmp_path) if not name.endswith(".crc")] == []


def lease_holder(folder: Path) -> str:
    return Holder.from_bytes((folder / LEASE_NAME).read_bytes()).in_words()


def test_what_is_rejected_has_one_writer_too(spark, tmp_path):
    with hold(str(tmp_path / "aside")), pytest.raises(FolderInUse, match="aside"):
        ingest_claims.main(
            spark, IngestClaims("medbert", "none", str(tmp_path / "output"), rejected=str(tmp_path / "aside"))
        )
    assert os.listdir(tmp_path) == []


def test_each_job_is_among_those_tried(project_root):
    programs = {
        path.stem
        for path in Path(project_root, "spark_jobs").glob("*.py")
        if "sys.exit(run_job(" in path.read_text(encoding="utf-8")
    }
    assert {job.__name__.rpartition(".")[2] for job in (*JOBS, *OF_MANY)} == programs


def test_a_vocabulary_that_another_one_puts_in_place_is_left_to_it(spark, tmp_path):
    """What was published within a folder may be a killed process's, or that of one which is at it."""
    folder = tmp_path / "vocabulary"
    (folder / NEXT).mkdir(parents=True)
    publish_manifest(str(folder / NEXT), Manifest(KIND))
    with hold(str(folder)), pytest.raises(FolderInUse):
        finish_take_over(spark, str(folder), KIND)
    assert (folder / NEXT / MANIFEST_NAME).exists()
    finish_take_over(spark, str(folder), KIND)
    assert os.listdir(folder) == [MANIFEST_NAME]
