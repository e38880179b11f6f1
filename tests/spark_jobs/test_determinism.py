"""The same data and seed give the same files, whatever the cores, partitions and input files.

Byte for byte, but for one thing: a Parquet footer lists each column's encodings in the order of a Java hash
set, which changes from one JVM to another. So Parquet files of several processes are compared by size and
content.
"""

import os
import random
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from schemas.manifest import read_manifest
from schemas.sequences import SPLITS
from tests.spark_jobs.pipeline import write_extract

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FOLDERS = {"vocabulary": "vocabulary", "sequences": "sequences"} | {
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


def _content(root: str) -> dict[str, tuple]:
    """File → its rows and bytes, and what is in it: a Parquet table, or the SHA-256 of anything else."""
    found = {}
    for folder, kind in FOLDERS.items():
        for file in read_manifest(f"{root}/{folder}", kind, verify=True).files:
            path = f"{folder}/{file.path}"
            is_parquet = file.path.endswith(".parquet")
            content = pq.ParquetFile(f"{root}/{path}").read() if is_parquet else file.sha256
            found[path] = (file.rows, file.bytes, content)
    return found


@pytest.mark.timeout(1200)
def test_the_same_files_with_1_2_and_7_cores_partitions_and_input_files(project_root, tmp_path):
    one, two, seven = (_content(_run(project_root, tmp_path / str(n), n)) for n in (1, 2, 7))
    assert sum(path.startswith("sequences/") for path in one) == 9
    assert sum(path.startswith("shards/") and path.endswith(".tfrecord") for path in one) > 6
    assert one.keys() == two.keys() == seven.keys()
    assert [path for path in one if not one[path] == two[path] == seven[path]] == []
