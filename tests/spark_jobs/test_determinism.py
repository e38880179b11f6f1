"""The same data and seed give the same bytes, whatever the cores, partitions and input files."""

import os
import random
import subprocess
import sys

import pytest

from schemas.manifest import read_manifest
from schemas.sequences import SPLITS
from tests.spark_jobs.pipeline import write_extract

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FOLDERS = {name: name for name in ("diagnoses", "vocabulary", "sequences")} | {
    f"shards/{split}": "shards" for split in SPLITS
}


def _lines() -> list[str]:
    """120 patients; overlapping stays, repeated codes, and rows that only their code tells apart."""
    rng = random.Random(3)
    lines = []
    for patient in range(120):
        for _ in range(rng.randint(3, 30)):
            month, length, code = rng.randint(1, 4), rng.randint(0, 12), rng.randint(10, 60)
            order = " ".join(rng.choice("12-") for _ in range(3))
            lines.append(f"{patient} 2014-0{month}-01 2014-0{month}-{length + 1:02} ICD10_C{code} {order}")
    return lines


def _run(project_root: str, folder, cores: int) -> str:
    """A run's folder, made with that many cores, partitions and input files; rows come in another order."""
    lines = _lines()
    random.Random(cores).shuffle(lines)
    (folder / "raw").mkdir(parents=True)
    for n in range(cores):
        write_extract(folder / "raw" / f"{n}.tsv", *lines[n::cores])
    script = f"{project_root}/tests/spark_jobs/chain_process.py"
    done = subprocess.run(
        [sys.executable, script, str(cores), str(folder / "raw"), str(folder / "run")],
        env=os.environ | {"PYTHONPATH": project_root, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return str(folder / "run")


def _files(root: str) -> dict[str, tuple[int, str]]:
    """File → its rows and SHA-256."""
    return {
        f"{folder}/{file.path}": (file.rows, file.sha256)
        for folder, kind in FOLDERS.items()
        for file in read_manifest(f"{root}/{folder}", kind, verify=True).files
    }


def _fingerprints(root: str) -> list[str]:
    return [read_manifest(f"{root}/{folder}", kind).fingerprint for folder, kind in FOLDERS.items()]


@pytest.mark.timeout(1200)
def test_the_same_bytes_with_1_2_and_7_cores_partitions_and_input_files(project_root, tmp_path):
    runs = [_run(project_root, tmp_path / str(n), n) for n in (1, 2, 7)]
    one, two, seven = map(_files, runs)
    assert sum(path.startswith("sequences/") for path in one) == 9
    assert sum(path.startswith("shards/") and path.endswith(".tfrecord") for path in one) > 6
    assert one == two == seven
    # Ingest read one, two and seven files; what it made of them, down to the manifest, is the same.
    first, *others = map(_fingerprints, runs)
    assert others == [first, first]
