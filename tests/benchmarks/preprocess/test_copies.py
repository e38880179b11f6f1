import pyarrow.parquet as pq

from benchmarks.preprocess.copies import write_copies
from tests.benchmarks.preprocess.claims import write_claims


def test_each_copy_has_the_same_claims_of_other_patients(tmp_path):
    (tmp_path / "once").mkdir()
    write_claims(str(tmp_path / "once" / "part.parquet"), claims=200)
    write_copies(str(tmp_path / "once"), str(tmp_path / "thrice"), 3)
    once, thrice = pq.read_table(tmp_path / "once"), pq.read_table(tmp_path / "thrice")
    assert thrice.num_rows == 3 * once.num_rows == len(set(thrice["claim_id"].to_pylist()))
    patients = set(once["patient_id"].to_pylist())
    assert set(thrice["patient_id"].to_pylist()) == {f"{id}-{copy}" for id in patients for copy in range(3)}
    same = thrice.select(["admit_date", "diagnosis_1"]).slice(200, 200)
    assert same.equals(once.select(["admit_date", "diagnosis_1"]))
