"""Assembling patients is NumPy on Arrow batches: tested here without Spark."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.transforms.visits import UNKNOWN, assemble_patients
from tests.spark_jobs.reference import Diagnosis, sequences_of

EPOCH = datetime.date(1970, 1, 1)
UNK = 1
CODES = {f"C{token}": token for token in range(4, 9)}


def _day(number):
    return EPOCH + datetime.timedelta(days=number)


def _assembled(rows, unk, batch_rows):
    """(patient, discharge, order, admit, code) rows through assemble_patients, in batches of that size."""
    ids = CODES.get
    place = {code: n for n, code in enumerate(sorted(CODES))}
    ordered = sorted(rows, key=lambda r: (r[0], r[1], r[2], place.get(r[4], 99)))
    table = pa.table(
        {
            "patient_id": pa.array([r[0] for r in ordered], pa.string()),
            "admit": pa.array([r[3] for r in ordered], pa.int32()),
            "discharge": pa.array([r[1] for r in ordered], pa.int32()),
            "token_id": pa.array([ids(r[4], UNKNOWN) for r in ordered], pa.int32()),
        }
    )
    batches = assemble_patients(iter(table.to_batches(max_chunksize=batch_rows)), unk)
    return [row for batch in batches for row in batch.to_pylist()]


rows_of_patients = st.lists(
    st.tuples(
        st.sampled_from(["1", "10", "2", "ä"]),
        st.integers(0, 6).map(lambda n: n * 5),
        st.integers(0, 3),
        st.integers(0, 12),
        st.sampled_from([*CODES, "unknown 1", "unknown 2"]),
    ).map(lambda r: (r[0], r[1], r[2], r[1] - r[3], r[4])),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(rows=rows_of_patients, unk=st.sampled_from([UNK, None]), batch_rows=st.integers(1, 70))
def test_equals_plain_python_however_the_rows_are_cut(rows, unk, batch_rows):
    got = _assembled(rows, unk, batch_rows)
    diagnoses = [Diagnosis(p, _day(a), _day(d), code, (order, None, None)) for p, d, order, a, code in rows]
    expected = sequences_of(diagnoses, set(CODES), "[UNK]" if unk else None)
    names = {token: code for code, token in CODES.items()} | {UNK: "[UNK]"}

    assert [row["patient_id"] for row in got] == sorted({row[0] for row in rows})
    for row in got:
        patient = expected.get(row["patient_id"])
        if patient is None:  # only unknown codes, and no [UNK]
            assert row["token_ids"] == row["los_days"] == []
            continue
        assert [names[token] for token in row["token_ids"]] == patient.codes
        assert row["visit_numbers"] == patient.visit_numbers
        assert row["visit_admit_dates"] == patient.admits
        assert row["visit_discharge_dates"] == patient.discharges
        assert row["los_days"] == patient.los_days
        assert row["days_to_next_visit"] == patient.days_to_next_visit
        assert row["prolonged_los"] == patient.prolonged_los
        assert row["num_rows"] == sum(r[0] == row["patient_id"] for r in rows)
        assert row["num_unknown"] == sum(r[0] == row["patient_id"] and r[4] not in CODES for r in rows)


def test_overlapping_stays_give_negative_days_to_the_next_visit():
    (row,) = _assembled([("1", 10, 0, 8, "C4"), ("1", 20, 0, 5, "C5")], UNK, 10)
    assert row["days_to_next_visit"] == [-5, 0]
    assert row["los_days"] == [2, 15]
    assert row["prolonged_los"]


@pytest.mark.parametrize("days", [7, 8])
def test_a_stay_is_prolonged_from_its_eighth_day(days):
    (row,) = _assembled([("1", 30, 0, 30 - days, "C4")], UNK, 10)
    assert row["prolonged_los"] == (days > 7)
