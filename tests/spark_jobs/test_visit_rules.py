"""The choice of visits through the job, from hand-made diagnoses with visit ids."""

import datetime
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import diagnoses
from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.sequences import VISIT_RULES
from tests.spark_jobs.reference import Diagnosis, sequences_of, stays_merged

pytestmark = pytest.mark.spark


def _day(number: int) -> datetime.date:
    return datetime.date(2015, 9, 1) + datetime.timedelta(days=number)


# One stay as a hospital and two doctors bill it, a transfer on its last day, and claims without an id.
CLAIMS = [
    ("facility", 10, 20, "E11.9", 1), ("facility", 10, 20, "I10", 2), ("facility", 10, 15, "I10", None),
    ("doctor 2", 12, 12, "I21.4", 1), ("doctor 1", 20, 20, "R07.9", 2),
    ("transfer", 20, 24, "I21.4", 1),
    (None, 25, 25, "E11.9", None), (None, 24, 25, "C50", None), (None, 40, 40, "C50", 3),
]  # fmt: skip
ROWS = [
    Diagnosis(patient, _day(admit), _day(discharge), f"ICD10CM//{code}", (order, None, None), visit_id)
    for patient in ("1", "2")
    for visit_id, admit, discharge, code, order in CLAIMS[int(patient) - 1 :]
]


@pytest.fixture
def numbered(run):
    """ROWS as a diagnoses folder, and a vocabulary of them."""
    os.makedirs(run.path("diagnoses"))
    columns = [[row.patient_id, row.visit_id, row.admit, row.discharge, row.code, *row.order] for row in ROWS]
    table = pa.table(
        [list(column) for column in zip(*columns, strict=True)], schema=diagnoses.DIAGNOSES.arrow
    )
    pq.write_table(table, f"{run.path('diagnoses')}/part-00000.parquet")
    file = describe_file(run.path("diagnoses"), "part-00000.parquet", len(ROWS))
    publish_manifest(run.path("diagnoses"), Manifest(diagnoses.KIND, files=(file,)))
    run.vocabulary(min_patients=1)
    return run


def test_each_rule_equals_plain_python(numbered):
    for rule in VISIT_RULES:
        manifest = numbered.sequences(visits=rule)
        assert manifest.parameters["visits"] == rule
        got, expected = numbered.patients(), sequences_of(ROWS, visits=rule)
        assert got.keys() == expected.keys()
        for patient_id, patient in expected.items():
            row = got[patient_id]
            assert row["codes"] == patient.codes, rule
            assert row["visit_numbers"] == patient.visit_numbers
            assert row["visit_admit_dates"] == patient.admits
            assert row["visit_discharge_dates"] == patient.discharges
            assert row["days_to_next_visit"] == patient.days_to_next_visit
        assert manifest.counts["visits"] == sum(len(patient.los_days) for patient in expected.values())
        assert manifest.counts["stays_merged"] == sum(
            stays_merged([row for row in ROWS if row.patient_id == patient_id], rule) for patient_id in got
        )
        assert manifest.counts.get("rows_without_visit_id") == (6 if rule == "visit_id" else None)


def test_an_unknown_rule_is_refused(run):
    with pytest.raises(ContractError, match=r"visits is \[admission\].*discharge_date, visit_id, overlap"):
        run.sequences(visits="admission")
