import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ContractError
from spark_jobs.sources.meds import MedsOptions

pytestmark = pytest.mark.spark

EVENTS = [
    (1, None, "GENDER//F", None),
    (1, "1960-05-05", "MEDS_BIRTH", None),
    (1, "2014-03-01", "HOSPITAL_ADMISSION//ER", 10),
    (1, "2014-03-02", "ICD10CM//e119", 10),
    (1, "2014-03-09", "HOSPITAL_DISCHARGE//HOME", 10),
    (1, "2015-01-01", "ICD9CM//25000", None),
    (1, "1950-01-01", "ICD9CM//25000", None),
    (1, None, "ICD9CM//25000", None),
    (2, "2015-01-01", "DIAGNOSIS//ICD//10//I10", None),
    (2, "2015-01-01", "ICD10CM//25000", None),
]


def _write(folder, with_visits=True, numeric="float"):
    day = datetime.datetime.fromisoformat
    columns = {
        "subject_id": pa.array([e[0] for e in EVENTS], pa.int64()),
        "time": pa.array([e[1] and day(e[1] + "T10:30:00") for e in EVENTS], pa.timestamp("us")),
        "code": pa.array([e[2] for e in EVENTS], pa.string()),
        "numeric_value": pa.nulls(len(EVENTS), pa.type_for_alias(numeric)),
    }
    if with_visits:
        columns["hadm_id"] = pa.array([e[3] for e in EVENTS], pa.int64())
    (folder / "data" / "train").mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "data" / "train" / "0.parquet")
    return str(folder)


def _found(run):
    return sorted(
        (r["patient_id"], r["visit_id"] or "", str(r["admit_date"]), str(r["discharge_date"]), r["code"])
        for r in run.rows("diagnoses")
    )


def test_visits_of_the_data_and_days_without_one(run, tmp_path):
    manifest = run.ingest("meds", _write(tmp_path / "meds"))
    assert _found(run) == [
        ("1", "", "2015-01-01", "2015-01-01", "ICD9CM//250.00"),
        ("1", "10", "2014-03-01", "2014-03-09", "ICD10CM//E11.9"),
    ]
    assert manifest.counts["rows_in"] == 5
    assert manifest.counts["rows_of_other_codes"] == 5
    assert manifest.counts["rejected"] == {"before_birth": 1, "admit_date_missing": 1, "code_malformed": 1}


def test_other_beginnings_and_no_visits(run, tmp_path):
    options = MedsOptions({"ICD10CM": "ICD10CM", "DIAGNOSIS//ICD//10": "ICD10CM"})
    run.ingest("meds", _write(tmp_path / "meds", with_visits=False), meds=options)
    assert _found(run) == [
        ("1", "", "2014-03-02", "2014-03-02", "ICD10CM//E11.9"),
        ("2", "", "2015-01-01", "2015-01-01", "ICD10CM//I10"),
    ]


def test_codes_of_other_systems_have_their_forms_checked(run, tmp_path, monkeypatch):
    codes = ["PROCEDURE//ICD//10//0srd0j9", "PROCEDURE//ICD//10//99282", "NDC//0093-1015-10", "NDC//nan",
             "LOCAL//a.b"]  # fmt: skip
    events = [(1, "2015-01-01", code, None) for code in codes]
    monkeypatch.setitem(globals(), "EVENTS", events)
    options = MedsOptions({"PROCEDURE//ICD//10": "ICD-10-PCS", "NDC": "NDC", "LOCAL": "LOCAL"})
    manifest = run.ingest("meds", _write(tmp_path / "meds"), meds=options)
    assert [row[-1] for row in _found(run)] == ["ICD10PCS//0SRD0J9", "LOCAL//a.b", "NDC//00093101510"]
    assert manifest.counts["rejected"] == {"code_malformed": 1, "code_missing": 1}


def test_what_is_not_meds_is_refused(run, tmp_path):
    with pytest.raises(ContractError, match=r"is not MEDS data.*numeric_value"):
        run.ingest("meds", _write(tmp_path / "meds", numeric="int32"))


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()], ids=str)
def test_visits_that_are_none_and_visits_held_as_floats(run, tmp_path, kind):
    day = datetime.datetime.fromisoformat
    visits = [10, 10, 0, 0, -1, None]
    codes = ["HOSPITAL_ADMISSION", *["ICD10CM//I10"] * 5]
    columns = {
        "subject_id": pa.array([1] * 6, pa.int64()),
        "time": pa.array([day(f"2014-03-0{n}") for n in range(1, 7)], pa.timestamp("us")),
        "code": pa.array(codes),
        "numeric_value": pa.nulls(6, pa.float32()),
        "hadm_id": pa.array(visits, pa.int64()).cast(kind),
    }
    pq.write_table(pa.table(columns), tmp_path / "0.parquet")
    counts = run.ingest("meds", str(tmp_path / "0.parquet")).counts
    assert [row[:4] for row in _found(run)] == [
        *(("1", "", f"2014-03-0{n}", f"2014-03-0{n}") for n in (3, 4, 5, 6)),
        ("1", "10", "2014-03-01", "2014-03-02"),
    ]
    assert counts["day_is_visit"] == 4


def test_a_visit_that_is_no_whole_number(run, tmp_path):
    columns = {
        "subject_id": pa.array([1, 1], pa.int64()),
        "time": pa.array([datetime.datetime(2014, 3, 1)] * 2, pa.timestamp("us")),
        "code": pa.array(["ICD10CM//I10"] * 2),
        "numeric_value": pa.nulls(2, pa.float32()),
        "visit_id": pa.array([2.5, float("nan")]),
    }
    pq.write_table(pa.table(columns), tmp_path / "0.parquet")
    counts = run.ingest("meds", str(tmp_path / "0.parquet")).counts
    assert counts["rejected"] == {"visit_unreadable": 1}
    assert counts["rows_out"] == 1
