import subprocess
import sys

import pyarrow.parquet as pq

from tests.benchmarks.preprocess.claims import write_claims
from tests.spark_jobs.reference import split_of


def test_each_patient_once_on_the_side_of_the_contract(tmp_path, project_root):
    write_claims(str(tmp_path / "claims.parquet"), claims=200)
    command = [sys.executable, "-m", "benchmarks.preprocess.splits"]
    done = subprocess.run(
        [*command, str(tmp_path / "claims.parquet"), "salt", str(tmp_path / "splits")],
        cwd=project_root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = pq.read_table(tmp_path / "splits").to_pylist()
    patients = [f"patient{number:05}" for number in range(50)]
    assert sorted(row["patient_id"] for row in found) == patients
    assert {row["patient_id"]: row["split"] for row in found} == {id: split_of("salt", id) for id in patients}
