"""One cluster for all tests here, and the same run by `local[2]` to compare with."""

import os

import pytest

from tests.cluster.standalone import standalone_cluster
from tests.spark_jobs.stages import GENERATED, command_lines
from tests.submitted_run import SubmittedRun


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A Spark standalone cluster: a master and two workers."""
    with standalone_cluster(str(tmp_path_factory.mktemp("cluster"))) as running:
        yield running


@pytest.fixture(scope="session")
def new_run(package, project_root, tmp_path_factory):
    """new_run(of, *names, master=…, settings=…): a run with links to those folders of another, if any."""

    def make(of: SubmittedRun | None = None, *names: str, **options) -> SubmittedRun:
        folder = str(tmp_path_factory.mktemp("run"))
        for name in names:
            os.symlink(f"{of.folder}/{name}", f"{folder}/{name}")
        return SubmittedRun(package, project_root, folder, **options)

    return make


@pytest.fixture(scope="session")
def local_run(new_run):
    """All stages on 300 generated patients, in one process with two threads."""
    run = new_run()
    run.run_in_turn([("generate_claims", (*GENERATED, "--output", "claims")), *command_lines().items()])
    return run
