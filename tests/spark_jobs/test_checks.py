import datetime

import pytest
from pyspark.sql import functions as F

from schemas.diagnoses import DIAGNOSES
from schemas.errors import ContractError
from schemas.sequences import SEQUENCES
from spark_jobs.checks import check_nothing_lost, watch_diagnoses, watch_sequences, watch_shards
from spark_jobs.rules import sequence_rules

pytestmark = pytest.mark.spark

DAY = datetime.date(2014, 3, 1)
LATER = datetime.date(2014, 3, 9)


def _act(rows):
    rows.write.format("noop").mode("overwrite").save()


def _nullable(schema):
    return schema.ddl.replace(" NOT NULL", "")


def test_broken_diagnoses_are_counted_by_rule(spark):
    rows = [("1", None, LATER, DAY, "C50", 1, 1, 1), (None, None, DAY, DAY, "ICD9CM//250", 1, 1, 1)]
    watched, watch = watch_diagnoses(spark.createDataFrame(rows, _nullable(DIAGNOSES)), "here")
    _act(watched)
    with pytest.raises(ContractError) as caught:
        watch.check("here")
    for part in (
        "1 rows where not: patient_id is not null",
        "discharge_date is not before",
        "code is SYSTEM//CODE",
    ):
        assert part in str(caught.value)


GOOD = {
    "patient_id": "1", "token_ids": [4, 5, 4], "visit_numbers": [1, 1, 2], "visit_admit_dates": [DAY, DAY],
    "visit_discharge_dates": [DAY, LATER], "los_days": [0, 8], "days_to_next_visit": [0, 0],
    "prolonged_los": True,
}  # fmt: skip


BROKEN = [
    ({"token_ids": [], "visit_numbers": []}, "a patient has a code"),
    ({"visit_numbers": [1, 1]}, "token_ids and visit_numbers have one length"),
    ({"los_days": [8]}, "the visit arrays have one entry a visit"),
    ({"visit_numbers": [2, 2, 3]}, "visit numbers start at 1 and rise by one"),
    ({"visit_numbers": [1, 2, 1]}, "visit numbers start at 1 and rise by one"),
    ({"token_ids": [4, 4, 4]}, "a code stands once in a visit"),
    ({"days_to_next_visit": [0, 3]}, "the last visit's days_to_next_visit is 0"),
    ({"los_days": [-1, 8]}, "los_days are not negative"),
    ({"prolonged_los": False}, "prolonged_los says whether a stay is longer than 7 days"),
]


def test_each_rule_of_sequences_is_broken_by_its_rows_alone(spark):
    rows = [GOOD | change | {"patient_id": str(n)} for n, (change, _) in enumerate([({}, ""), *BROKEN])]
    table = spark.createDataFrame(rows, _nullable(SEQUENCES))
    watched, watch = watch_sequences(table.where("patient_id = '0'"), "here")
    _act(watched)
    watch.check("here")

    found = watched_rules(table)
    for n, (_, rule) in enumerate(BROKEN, start=1):
        assert rule in found[str(n)], n


def watched_rules(table):
    """Patient → the rules that its row breaks, all in one query."""
    rules = sequence_rules()
    rows = table.select(
        "patient_id", *(F.coalesce(r.broken, F.lit(False)).alias(f"r{n}") for n, r in enumerate(rules))
    )
    return {row.patient_id: {r.says for n, r in enumerate(rules) if row[f"r{n}"]} for row in rows.collect()}


def test_shards_hold_ids_of_the_vocabulary(spark):
    rows = spark.createDataFrame(
        [([4, 9], [1, 1], 1)], "token_ids array<int>, visit_numbers array<int>, prolonged_los int"
    )
    watched, watch = watch_shards(rows, 9, "here")
    _act(watched)
    with pytest.raises(ContractError, match="ids of the vocabulary"):
        watch.check("here")


def test_a_lost_row_is_an_error():
    check_nothing_lost(
        {"rows_in": 3, "rows_out": 2, "rows_rejected": 1, "rejected": {"code_missing": 1}}, "here"
    )
    with pytest.raises(ContractError, match="4 rows in, 2 out, 1 set aside"):
        check_nothing_lost(
            {"rows_in": 4, "rows_out": 2, "rows_rejected": 1, "rejected": {"code_missing": 1}}, "here"
        )
