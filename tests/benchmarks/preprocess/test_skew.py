from collections import Counter

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.preprocess import skew
from schemas.claims import DIAGNOSIS_COLUMNS
from tests.benchmarks.preprocess.claims import write_claims


def test_one_patient_has_the_rows_and_one_code_the_share(tmp_path, monkeypatch):
    monkeypatch.setattr(skew, "SKEWED_PATIENT_ROWS", 1_500)
    (tmp_path / "even").mkdir()
    write_claims(str(tmp_path / "even" / "part.parquet"), claims=4_000, diagnoses=3)
    skew.write_skewed(str(tmp_path / "even"), str(tmp_path / "skewed"))
    even = pq.read_table(tmp_path / "even" / "part.parquet")
    skewed = pq.read_table(tmp_path / "skewed" / "claims.parquet").sort_by("claim_id")

    assert skewed.column_names == even.column_names
    assert skewed["claim_id"].equals(even["claim_id"]), "as many claims, the same"
    assert [pc.count(skewed[name]).as_py() for name in DIAGNOSIS_COLUMNS] == [4_000] * 3 + [0] * 9
    ((heaviest, claims), (_, next_claims)) = Counter(skewed["patient_id"].to_pylist()).most_common(2)
    assert (heaviest, claims * 3) == ("patient00000", 1_500)
    assert next_claims == 4
    often = pc.equal(skewed["diagnosis_1"], skew.CODE)
    assert 0.87 < pc.mean(often).as_py() < 0.93
    assert pc.equal(skewed["icd_version"], 10).equals(often), "a claim's codes are of one system"
    assert pc.equal(skewed["diagnosis_3"], skew.CODE).equals(often)
