"""Each rule of each table, broken by one row, is found, and counted."""

import datetime
import re

import pyarrow as pa
import pytest

from schemas.diagnoses import DIAGNOSES
from schemas.errors import ContractError
from schemas.rules import check_diagnoses, check_sequences, check_shards
from schemas.sequences import SEQUENCES
from schemas.shards import SHARDS

DAY = datetime.date(2014, 3, 1)
LATER = datetime.date(2014, 3, 9)


def _batch(rows, schema):
    return pa.RecordBatch.from_pylist(rows, schema=schema.arrow)


def test_broken_diagnoses_are_counted_by_rule():
    good = {"patient_id": "1", "admit_date": DAY, "discharge_date": DAY, "code": "ICD9CM//250"}
    check_diagnoses(_batch([good], DIAGNOSES), "here")
    broken = [good | {"code": "C50"}, good | {"code": "C51"}, good | {"admit_date": LATER}, good]
    with pytest.raises(ContractError) as caught:
        check_diagnoses(_batch(broken, DIAGNOSES), "here")
    assert "1 rows where not: discharge_date is not before" in str(caught.value)
    assert "2 rows where not: code is SYSTEM//CODE" in str(caught.value)
    with pytest.raises(ContractError, match="1 rows where not: patient_id is not null"):
        check_diagnoses(_batch([good, good | {"patient_id": None}], DIAGNOSES), "here")


GOOD = {
    "patient_id": "1", "token_ids": [4, 5, 4], "visit_numbers": [1, 1, 2], "visit_admit_dates": [DAY, DAY],
    "visit_discharge_dates": [DAY, LATER], "los_days": [0, 8], "days_to_next_visit": [0, 0],
    "prolonged_los": True,
}  # fmt: skip


BROKEN = [
    ({"token_ids": [], "visit_numbers": []}, "a patient has a code"),
    ({"visit_numbers": [1, 1]}, "token_ids and visit_numbers have one length"),
    ({"los_days": [8]}, "the visit arrays have one entry a visit"),
    ({"visit_numbers": [1, 1, 1], "token_ids": [4, 5, 6]}, "the visit arrays have one entry a visit"),
    ({"visit_numbers": [2, 2, 3]}, "visit numbers start at 1 and rise by one"),
    ({"visit_numbers": [1, 2, 1]}, "visit numbers start at 1 and rise by one"),
    ({"visit_numbers": [1, 1, 3]}, "visit numbers start at 1 and rise by one"),
    ({"token_ids": [4, 4, 4]}, "a code stands once in a visit"),
    ({"days_to_next_visit": [0, 3]}, "the last visit's days_to_next_visit is 0"),
    ({"los_days": [-1, 8]}, "los_days are not negative"),
    ({"prolonged_los": False}, "prolonged_los says whether a stay is longer than 7 days"),
    ({"prolonged_los": None}, "prolonged_los is not null"),
]


@pytest.mark.parametrize(("change", "rule"), BROKEN)
def test_each_rule_of_sequences(change, rule):
    good = [GOOD | {"patient_id": "0"}, GOOD | {"patient_id": "2"}]
    check_sequences(_batch(good, SEQUENCES), "here")
    with pytest.raises(ContractError, match=f"1 rows where not: {re.escape(rule)}"):
        check_sequences(_batch([good[0], GOOD | change, good[1]], SEQUENCES), "here")


def test_shards_hold_ids_of_the_vocabulary():
    row = {"token_ids": [4, 9], "visit_numbers": [1, 1], "prolonged_los": 1}
    check_shards(_batch([row], SHARDS), "here", vocabulary_size=10)
    for broken, rule in (
        (row, "ids of the vocabulary"),
        (row | {"token_ids": [-1, 3]}, "ids of the vocabulary"),
        (row | {"token_ids": [3]}, "one length"),
        (row | {"token_ids": [3, 3], "prolonged_los": 2}, "0 or 1"),
    ):
        with pytest.raises(ContractError, match=rule):
            check_shards(_batch([broken], SHARDS), "here", vocabulary_size=9)
