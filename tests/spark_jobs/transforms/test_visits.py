"""Assembling patients is NumPy on Arrow batches: tested here without Spark."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.sequences import VISIT_RULES
from spark_jobs.transforms.visits import UNKNOWN, assemble, whole_patients
from tests.spark_jobs.reference import Diagnosis, sequences_of, stays_merged

EPOCH = datetime.date(1970, 1, 1)
UNK = 1
CODES = {f"C{token}": token for token in range(4, 9)}


def _day(number):
    return EPOCH + datetime.timedelta(days=number)


def _assembled(rows, unk, batch_rows, visits="discharge_date"):
    """(patient, discharge, order, admit, code, visit_id) rows through assemble, in batches."""
    ids = CODES.get
    place = {code: n for n, code in enumerate(sorted(CODES))}
    rows = [(*row, "")[:6] for row in rows]

    def key(row):
        of_rule = {"discharge_date": row[1], "visit_id": (row[5], 0 if row[5] else row[1]), "overlap": 0}
        return row[0], of_rule[visits], row[2], place.get(row[4], 99)

    ordered = sorted(rows, key=key)
    table = pa.table(
        {
            "patient_id": pa.array([r[0] for r in ordered], pa.string()),
            "admit": pa.array([r[3] for r in ordered], pa.int32()),
            "discharge": pa.array([r[1] for r in ordered], pa.int32()),
            "token_id": pa.array([ids(r[4], UNKNOWN) for r in ordered], pa.int32()),
            "visit_id": pa.array([r[5] for r in ordered], pa.string()),
        }
    )
    batches = (
        assemble(rows, unk, visits)
        for rows in whole_patients(iter(table.to_batches(max_chunksize=batch_rows)))
    )
    return [row for batch in batches for row in batch.to_pylist()]


rows_of_patients = st.lists(
    st.tuples(
        st.sampled_from(["1", "10", "2", "ä"]),
        st.integers(-2, 6).map(lambda n: n * 5),
        st.integers(0, 3),
        st.integers(0, 12),
        st.sampled_from([*CODES, "unknown 1", "unknown 2"]),
        st.sampled_from(["", "", "10", "2", "x"]),
    ).map(lambda r: (r[0], r[1], r[2], r[1] - r[3], *r[4:])),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(
    rows=rows_of_patients,
    unk=st.sampled_from([UNK, None]),
    batch_rows=st.integers(1, 70),
    visits=st.sampled_from(list(VISIT_RULES)),
)
def test_equals_plain_python_however_the_rows_are_cut(rows, unk, batch_rows, visits):
    got = _assembled(rows, unk, batch_rows, visits)
    diagnoses = [
        Diagnosis(p, _day(a), _day(d), code, (order, None, None), visit or None)
        for p, d, order, a, code, visit in rows
    ]
    expected = sequences_of(diagnoses, set(CODES), "[UNK]" if unk else None, visits)
    names = {token: code for code, token in CODES.items()} | {UNK: "[UNK]"}

    assert [row["patient_id"] for row in got] == sorted({row[0] for row in rows})
    for row in got:
        mine = [d for d in diagnoses if d.patient_id == row["patient_id"]]
        assert row["num_rows"] == len(mine)
        assert row["num_unknown"] == sum(d.code not in CODES for d in mine)
        assert row["num_merged"] == stays_merged([d for d in mine if unk or d.code in CODES], visits)
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


# A stay of days 10 to 20 with a claim of a day inside it, the next stay on its last day, and one a day later.
CLAIMS = [
    ("1", 20, 1, 10, "C4", "facility"),
    ("1", 12, 1, 12, "C5", "professional"),
    ("1", 22, 1, 20, "C6", "transfer"),
    ("1", 24, 1, 23, "C7", ""),
]


@pytest.mark.parametrize(
    ("visits", "admits", "discharges", "numbers", "merged"),
    [
        ("discharge_date", [12, 10, 20, 23], [12, 20, 22, 24], [1, 2, 3, 4], 0),
        ("visit_id", [12, 10, 20, 23], [12, 20, 22, 24], [1, 2, 3, 4], 0),
        ("overlap", [10, 23], [22, 24], [1, 1, 1, 2], 2),
    ],
)
def test_claims_of_one_stay(visits, admits, discharges, numbers, merged):
    (row,) = _assembled(CLAIMS, UNK, 10, visits)
    assert row["visit_admit_dates"] == [_day(n) for n in admits]
    assert row["visit_discharge_dates"] == [_day(n) for n in discharges]
    assert row["visit_numbers"] == numbers
    assert row["num_merged"] == merged


def test_a_visit_by_id_has_the_dates_of_all_its_rows_and_theirs_alone():
    rows = [("1", 9, 2, 8, "C4", "a"), ("1", 5, 1, 3, "C5", "a"), ("1", 9, 1, 9, "C6", "")]
    (row,) = _assembled(rows, UNK, 10, "visit_id")
    assert row["token_ids"] == [5, 4, 6]  # in a visit by order, whatever the dates
    assert row["visit_numbers"] == [1, 1, 2]
    assert row["los_days"] == [6, 0]
    assert row["days_to_next_visit"] == [0, 0]
    assert row["num_merged"] == 1


def test_overlapping_stays_give_negative_days_to_the_next_visit():
    (row,) = _assembled([("1", 10, 0, 8, "C4"), ("1", 20, 0, 5, "C5")], UNK, 10)
    assert row["days_to_next_visit"] == [-5, 0]
    assert row["los_days"] == [2, 15]
    assert row["prolonged_los"]


@pytest.mark.parametrize("days", [7, 8])
def test_a_stay_is_prolonged_from_its_eighth_day(days):
    (row,) = _assembled([("1", 30, 0, 30 - days, "C4")], UNK, 10)
    assert row["prolonged_los"] == (days > 7)
