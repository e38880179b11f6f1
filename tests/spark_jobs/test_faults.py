"""A driver that is killed, a disk that is full: no reader takes what is left, and the next run mends it."""

import importlib
import os
import shutil
import subprocess
from typing import get_type_hints

import pytest

from command_line.outermost import REFUSED
from schemas.errors import NotPublished
from schemas.manifest import Manifest, read_manifest
from spark_jobs.config import parse
from spark_jobs.files.publish import publish, read_published, start_output, write_parquet
from spark_jobs.files.storage import Folder
from tests.spark_jobs.job_that_never_publishes import WAITING
from tests.spark_jobs.stages import GENERATED, OUTPUTS, command_lines, files_in, manifests, strays
from tests.spark_submit import kill_all, run_job, start_job
from tests.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

JOBS = tuple(command_lines())
EVERYTHING = ("claims", "diagnoses", "vocabulary", "sequences", "shards")


def run_here(spark, job, arguments):
    main = importlib.import_module(f"spark_jobs.{job}").main
    main(spark, parse(get_type_hints(main)["config"], arguments))


@pytest.fixture(scope="module")
def undisturbed(spark, tmp_path_factory):
    """The folder of a run in which nothing went wrong."""
    root = str(tmp_path_factory.mktemp("undisturbed"))
    run_here(spark, "generate_claims", (*GENERATED, "--output", f"{root}/claims"))
    for job, arguments in command_lines(f"{root}/").items():
        run_here(spark, job, arguments)
    return root


def link_inputs(undisturbed, job, root):
    """All folders that the job does not write itself."""
    own = {folder.partition("/")[0] for folder in OUTPUTS[job]}
    for folder in EVERYTHING:
        if folder not in own:
            os.symlink(f"{undisturbed}/{folder}", f"{root}/{folder}")


def assert_refused(spark, root, job):
    """By every reader: Spark's, and that of the trainer, the reports and the converter."""
    for folder in OUTPUTS[job]:
        kind = folder.partition("/")[0]
        with pytest.raises(NotPublished):
            read_manifest(f"{root}/{folder}", kind)
        with pytest.raises(NotPublished):
            read_published(spark, f"{root}/{folder}", kind)


def assert_mended(spark, root, job, undisturbed):
    """Run again, the job gives the same bytes, and leaves nothing of the run before."""
    run_here(spark, job, command_lines(f"{root}/")[job])
    assert manifests(root, job) == manifests(undisturbed, job)
    assert strays(root, OUTPUTS[job]) == []


@pytest.mark.parametrize("job", JOBS)
def test_a_killed_driver_leaves_what_was_published_before_unreadable(
    spark, package, project_root, undisturbed, tmp_path, job
):
    """Killed when its first file is there, or, the vocabulary, when only the manifest is not."""
    root = str(tmp_path)
    link_inputs(undisturbed, job, root)
    for folder in OUTPUTS[job]:
        shutil.copytree(f"{undisturbed}/{folder}", f"{root}/{folder}")
    assert manifests(root, job)

    log = tmp_path / "log"

    def has_begun():
        assert process.poll() is None, log.read_text()[-3000:]
        staged = any(files_in(f"{root}/{folder}/_writing") for folder in {*OUTPUTS[job], "shards"})
        return staged or os.path.exists(f"{root}/{WAITING}")

    script = f"{project_root}/tests/spark_jobs/job_that_never_publishes.py"
    arguments = (job, *command_lines()[job])
    with open(log, "w") as out:
        process = start_job(package, script, arguments, folder=root, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(has_begun, "the first file")
    finally:
        kill_all(process)
    assert process.returncode == -9
    assert_refused(spark, root, job)
    assert_mended(spark, root, job, undisturbed)


def test_wherever_the_driver_stops_the_folder_is_whole_or_refused(spark, tmp_path, monkeypatch):
    """Once for each change it makes in the folder: that one, and all later ones, do not happen."""
    old, uri = str(tmp_path / "old"), str(tmp_path / "new")

    def write(last, to):
        folder = start_output(spark, to)
        files = write_parquet(spark.range(0, last, numPartitions=2), folder)
        publish(folder, Manifest("numbers", files=tuple(files)))

    class Stopped(Exception):
        pass

    def stopping(method):
        def change(*arguments):
            changes.append(method)
            if len(changes) > allowed:
                raise Stopped
            return method(*arguments)

        return change

    write(10, old)
    for name in ("delete", "rename", "write_bytes"):
        monkeypatch.setattr(Folder, name, stopping(getattr(Folder, name)))
    for allowed in range(100):
        shutil.rmtree(uri, ignore_errors=True)
        shutil.copytree(old, uri)
        changes = []
        try:
            write(20, uri)
            break
        except Stopped:
            if allowed:
                with pytest.raises(NotPublished):
                    read_manifest(uri, "numbers")
            else:
                assert read_manifest(uri, "numbers", verify=True).num_rows == 10
    assert allowed > 8
    assert read_manifest(uri, "numbers", verify=True).num_rows == 20
    assert len(files_in(uri)) == 3


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield str(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk, leave_bytes):
    """Fill the disk with one file, whose path is returned."""
    filler = f"{disk}/filler"
    with open(filler, "wb") as file:
        file.write(b"\0" * (shutil.disk_usage(disk).free - leave_bytes))
    return filler


def assert_last_line_says_disk_full(done, output):
    assert done.returncode == REFUSED, done.stderr[-3000:]
    last = done.stderr.rstrip().rpartition("\n")[2]
    assert last.startswith(f"error: a disk is full: No space left on device in --output {output}, or in ")
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("job", ["ingest_claims", "build_vocabulary"])
def test_a_full_disk_is_named_in_the_last_line(spark, package, project_root, undisturbed, small_disk, job):
    """One job whose tasks write its files, and the one whose driver does."""
    link_inputs(undisturbed, job, small_disk)
    filler = fill(small_disk, leave_bytes=16 << 10)
    script = f"{project_root}/spark_jobs/{job}.py"
    done = run_job(package, script, command_lines()[job], folder=small_disk)
    assert_last_line_says_disk_full(done, OUTPUTS[job][0].partition("/")[0])
    assert_refused(spark, small_disk, job)
    os.remove(filler)
    assert_mended(spark, small_disk, job, undisturbed)


def test_so_is_one_for_what_is_shuffled(package, project_root, undisturbed, small_disk, tmp_path):
    link_inputs(undisturbed, "ingest_claims", tmp_path)
    # Spark copies the package there before anything else.
    fill(small_disk, leave_bytes=os.path.getsize(package) + (64 << 10))
    done = run_job(
        *(package, f"{project_root}/spark_jobs/ingest_claims.py", command_lines()["ingest_claims"]),
        folder=str(tmp_path),
        settings={"spark.local.dir": small_disk, "spark.shuffle.compress": "false"},
    )
    assert_last_line_says_disk_full(done, "diagnoses")
    assert f"Spark's own folder {small_disk} " in done.stderr.rstrip().rpartition("\n")[2]
