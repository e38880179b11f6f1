"""Executors of a bare Python run every stage with the archive of `make executors`, as local[2] does."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.manifest import MANIFEST_NAME, Manifest, read_manifest
from tests.cluster.standalone import standalone_cluster
from tests.spark_jobs.raw_sources import write_raw_sources
from tests.spark_jobs.stages import GENERATED, command_lines
from tests.spark_submit import spark_environment

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

SERIES = "{}.{}".format(*sys.version_info[:2])
# As docs/executors.md says: .venv is the driver's own where that runs, the archive's on executors.
PYTHON = {"spark.pyspark.python": ".venv/bin/python"}


@pytest.fixture(scope="module")
def archive(project_root) -> str:
    subprocess.run([sys.executable, f"{project_root}/toolchain/executors.py"], check=True)
    (path,) = Path(project_root, "dist").glob(f"executors-py{SERIES}-{os.uname().machine}.tar.gz")
    return str(path)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> str:
    """The folder of a Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin")


@pytest.fixture(scope="module")
def bare_cluster(bare_python, tmp_path_factory):
    """A cluster whose machines have that Python, Java and the system's commands, and no setting of ours."""
    java = os.path.dirname(os.path.realpath(shutil.which("java")))
    ours = {
        name: value
        for name, value in spark_environment().items()
        if not name.startswith(("PYSPARK_", "PYTHON", "VIRTUAL_ENV"))
    }
    environment = ours | {"PATH": os.pathsep.join([bare_python, "/usr/bin", "/bin", java])}
    folder = str(tmp_path_factory.mktemp("bare_cluster"))
    with standalone_cluster(folder, environment) as running:
        yield running
    # Each job's executors have unpacked the archive in it.
    shutil.rmtree(folder)


def published(folder: str) -> dict[str, Manifest]:
    """Folder, relative to the run's → its manifest, every file's SHA-256 being checked."""
    found = {}
    for at, _, names in os.walk(folder):
        if MANIFEST_NAME in names:
            kind = json.loads(Path(at, MANIFEST_NAME).read_text())["kind"]
            found[os.path.relpath(at, folder)] = read_manifest(at, kind, verify=True)
    return found


def jobs(sources: dict[str, tuple[str, ...]]) -> list[tuple[str, tuple[str, ...]]]:
    """All stages and sources in few jobs, each of which unpacks the archive; `every_task` runs elsewhere."""
    prefixes = dict(zip(command_lines(), ("ingest", "vocabulary", "sequences", "shards"), strict=True))
    stages = [
        word.replace("--", f"--{prefixes[job]}.") if word.startswith("--") else word
        for job, words in command_lines().items()
        for word in words
    ]
    ingests = [
        ("ingest_claims", (*options, "--output", f"from_{source}/diagnoses"))
        for source, options in sources.items()
    ]
    return [("generate_claims", (*GENERATED, "--output", "claims")), ("preprocess", tuple(stages)), *ingests]


@pytest.fixture
def run_on_hosts(bare_cluster, new_run):
    """run_on_hosts(*options, settings=…): a run on that cluster; its driver has the tests' environment."""

    def make(*options, settings=PYTHON):
        run = new_run(master=bare_cluster.url, settings=settings, submit_options=options)
        os.symlink(sys.prefix, f"{run.folder}/.venv")
        return run

    return make


def test_every_stage_as_local_does(run_on_hosts, archive, new_run):
    here, there = new_run(), run_on_hosts("--archives", f"{archive}#.venv")
    for run in (here, there):
        run.run_in_turn(jobs(write_raw_sources(Path(run.folder))))
    assert published(there.folder) == published(here.folder)
    rows = {folder: manifest.num_rows for folder, manifest in published(there.folder).items()}
    assert rows["shards/train"] > 100
    assert rows["from_omop/diagnoses"] == rows["from_meds/diagnoses"] == 60


def said_by_failing(run) -> str:
    """What a job says that fails."""
    process = run.start("spark_jobs/generate_claims.py", *GENERATED, "--output", "claims")
    assert process.wait() != 0
    return run.log()


def test_without_the_archive_the_executors_have_no_such_python(run_on_hosts):
    assert 'Cannot run program ".venv/bin/python"' in said_by_failing(run_on_hosts())


@pytest.fixture
def without_packages(archive, tmp_path) -> str:
    """The archive, with nothing in it but bin/python."""
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path, "bin/python"], check=True)
    subprocess.run(["tar", "-czf", tmp_path / "bare.tar.gz", "-C", tmp_path, "bin"], check=True)
    return f"{tmp_path}/bare.tar.gz"


def test_without_its_packages_the_executors_have_none(run_on_hosts, without_packages):
    """Else the first test would prove nothing."""
    said = said_by_failing(run_on_hosts("--archives", f"{without_packages}#.venv"))
    assert re.search(r"Lost task .*\n(.*\n)*?.*No module named '(numpy|pyarrow|fsspec)'", said)


def test_the_driver_says_which_host_has_no_python_of_the_series(run_on_hosts, without_packages):
    settings = PYTHON | {"spark.executorEnv.MEDBERT_EXECUTOR_PYTHON": "/nowhere/python"}
    run = run_on_hosts("--archives", f"{without_packages}#.venv", settings=settings)
    expected = f"On the host {os.uname().nodename}: MEDBERT_EXECUTOR_PYTHON is /nowhere/python"
    assert expected in said_by_failing(run)
