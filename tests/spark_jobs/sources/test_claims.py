import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.claims import CLAIMS, DIAGNOSIS_COLUMNS, KIND
from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, publish_manifest
from spark_jobs import generate_claims

pytestmark = pytest.mark.spark


def _claim(
    claim_id,
    codes,
    version=10,
    patient="p1",
    admit=datetime.date(2016, 1, 1),
    discharge=datetime.date(2016, 1, 3),
):
    row = dict.fromkeys(DIAGNOSIS_COLUMNS) | dict(zip(DIAGNOSIS_COLUMNS, codes, strict=False))
    return row | {
        "claim_id": claim_id, "patient_id": patient, "setting": "inpatient", "admit_date": admit,
        "discharge_date": discharge, "icd_version": version,
    }  # fmt: skip


def _write(folder, *claims):
    (folder / "claims").mkdir(parents=True)
    nullable = pa.schema([pa.field(field.name, field.type) for field in CLAIMS.arrow])
    pq.write_table(
        pa.Table.from_pylist(list(claims), schema=nullable), folder / "claims" / "part-00000.parquet"
    )
    return str(folder)


def test_wide_to_one_row_a_diagnosis(run, tmp_path):
    raw = _write(
        tmp_path / "raw",
        _claim("c1", ["E119", None, "I10 "]),
        _claim("c2", ["25000"], version=9),
        _claim("c3", [None, "I10"]),  # the first column is always an entry
        _claim("c4", []),
        _claim("c5", ["I10", "E119"], version=11),
        _claim("c6", ["I10"], patient=None),
        _claim("c7", ["I10", ""]),  # empty text is no entry
    )
    manifest = run.ingest("claims", raw)
    found = [(r["visit_id"], r["code"], r["order_1"]) for r in run.rows("diagnoses")]
    assert sorted(found) == [
        ("c1", "ICD10CM//E11.9", 1), ("c1", "ICD10CM//I10", 3), ("c2", "ICD9CM//250.00", 1),
        ("c3", "ICD10CM//I10", 2), ("c7", "ICD10CM//I10", 1),
    ]  # fmt: skip
    assert manifest.counts["claims_in"] == 7
    assert manifest.counts["rows_in"] == 10
    assert manifest.counts["rejected"] == {"code_missing": 2, "code_system_unknown": 2, "patient_missing": 1}
    aside = [
        json.loads(row["raw"])
        for row in run.rows("diagnoses_rejected")
        if row["reason"] == "code_system_unknown"
    ]
    assert {(row["claim_id"], row["diagnosis_column"]) for row in aside} == {
        ("c5", "diagnosis_1"),
        ("c5", "diagnosis_2"),
    }


def test_a_missing_column(run, tmp_path):
    (tmp_path / "claims").mkdir()
    pq.write_table(pa.table({"claim_id": ["1"]}), tmp_path / "claims" / "x.parquet")
    with pytest.raises(ContractError, match="has no column patient_id"):
        run.ingest("claims", str(tmp_path))


def test_a_manifest_beside_the_claims_is_read_and_its_fingerprint_kept(run, tmp_path):
    raw = _write(tmp_path / "raw", _claim("c1", ["E119"]))
    files = (describe_file(raw, "claims/part-00000.parquet", 1),)
    published = Manifest(KIND, files=files)
    publish_manifest(raw, published)
    assert run.ingest("claims", raw).inputs == {"claims": published.fingerprint}
    with open(f"{raw}/claims/part-00000.parquet", "ab") as file:
        file.write(b"more")
    with pytest.raises(ContractError, match="not the file that was published"):
        run.ingest("claims", raw)


def test_generated_claims_go_through_without_a_reject(run, tmp_path):
    raw = str(tmp_path / "claims")
    generate_claims.main(run.spark, generate_claims.GenerateClaims(raw, patients=200))
    manifest = run.ingest("claims", raw)
    assert manifest.counts["rows_rejected"] == 0
    assert manifest.counts["rows_in"] > 1000
