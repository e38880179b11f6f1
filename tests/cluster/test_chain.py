"""The same files from a cluster as from one process."""

import pytest

from tests.spark_jobs.stages import OUTPUTS, command_lines, manifests, strays

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_cluster_makes_the_files_that_local_does(cluster, local_run, new_run):
    run = new_run(local_run, "claims", master=cluster.url)
    for job, arguments in command_lines().items():
        run.run(f"spark_jobs/{job}.py", *arguments)
        assert manifests(run.folder, job) == manifests(local_run.folder, job)
        assert strays(local_run.folder, OUTPUTS[job]) == strays(run.folder, OUTPUTS[job]) == []
    assert sum(len(manifest.files) for manifest in manifests(run.folder, "write_shards").values()) > 20
