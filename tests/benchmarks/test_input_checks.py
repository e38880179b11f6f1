"""That the benchmark measures the checks: the work is done with them, and without them."""

from __future__ import annotations

import os

import pytest

from benchmarks import input_checks
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, join
from schemas.shards import KIND
from tests.published import rewrite_manifest


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """(folder, name → bytes and work), of few patients."""
    folder = str(tmp_path_factory.mktemp("work"))
    return folder, input_checks.workloads(folder, 200)


def test_all_readers_of_training_and_two_of_the_stages_are_measured(work):
    folder, workloads = work
    assert [*workloads] == [
        *("training, arrow", "training, petastorm", "training, tfrecord"),
        *("diagnoses to sequences", "sequences to shards"),
    ]
    with open(join(folder, "train", MANIFEST_NAME), "rb") as stream:
        files = Manifest.from_json(stream.read(), KIND, folder).files
    assert workloads["training, arrow"][0] == sum(f.bytes for f in files if f.path.endswith("parquet"))
    assert workloads["sequences to shards"][0] == os.path.getsize(f"{folder}/sequences.parquet")


def test_without_the_checks_a_wrong_sum_is_not_seen(work):
    """With a sum of another file, the work is refused; without the checks, it is done."""
    folder, workloads = work
    for name, (_, task) in workloads.items():
        if name.startswith("training"):
            change = {"sha256": "0" * 64}
            rewrite_manifest(
                join(folder, "train"), lambda plain, to=change: [file.update(to) for file in plain["files"]]
            )
            with pytest.raises(ContractError, match="SHA-256"):
                task()
        with input_checks.no_checks():
            task()
