"""The invariants of the contracts (the prose of `schemas`), as Spark expressions for `checks`."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.codes import SEPARATOR
from schemas.sequences import PROLONGED_LOS_DAYS
from schemas.table import TableSchema


@dataclass(frozen=True)
class Rule:
    """One invariant. broken: true for a row that breaks it; null counts as kept."""

    says: str
    broken: Column


def null_rules(schema: TableSchema) -> list[Rule]:
    required = [column.name for column in schema.columns if not column.nullable]
    return [Rule(f"{name} is not null", F.col(name).isNull()) for name in required]


def diagnosis_rules() -> list[Rule]:
    return [
        Rule("discharge_date is not before admit_date", F.col("discharge_date") < F.col("admit_date")),
        Rule("code is SYSTEM//CODE", ~F.contains(F.col("code"), F.lit(SEPARATOR))),
    ]


def sequence_rules() -> list[Rule]:
    codes, visits, numbers = F.size("token_ids"), F.size("visit_admit_dates"), F.col("visit_numbers")
    first, last = F.lit(1), F.lit(-1)
    other_lengths = [
        F.size(name) != visits for name in ("visit_discharge_dates", "los_days", "days_to_next_visit")
    ]
    return [
        Rule("a patient has a code", codes == 0),
        Rule("token_ids and visit_numbers have one length", codes != F.size(numbers)),
        Rule(
            "the visit arrays have one entry a visit",
            (F.try_element_at(numbers, last) != visits)
            | other_lengths[0]
            | other_lengths[1]
            | other_lengths[2],
        ),
        Rule(
            "visit numbers start at 1 and rise by one",
            (F.try_element_at(numbers, first) != 1)
            | (F.size(F.array_distinct(numbers)) != visits)
            | (F.array_sort(numbers) != numbers),
        ),
        Rule(
            "a code stands once in a visit",
            F.size(F.array_distinct(F.arrays_zip("token_ids", "visit_numbers"))) != codes,
        ),
        Rule(
            "the last visit's days_to_next_visit is 0",
            F.try_element_at("days_to_next_visit", last) != 0,
        ),
        Rule("los_days are not negative", F.array_min("los_days") < 0),
        Rule(
            f"prolonged_los says whether a stay is longer than {PROLONGED_LOS_DAYS} days",
            F.col("prolonged_los") != (F.array_max("los_days") > PROLONGED_LOS_DAYS),
        ),
    ]


def shard_rules(vocabulary_size: int) -> list[Rule]:
    tokens = F.col("token_ids")
    return [
        Rule(
            "token_ids and visit_numbers have one length, not 0",
            (F.size(tokens) != F.size("visit_numbers")) | (F.size(tokens) == 0),
        ),
        Rule(
            "token_ids are ids of the vocabulary",
            (F.array_min(tokens) < 0) | (F.array_max(tokens) >= vocabulary_size),
        ),
        Rule("prolonged_los is 0 or 1", ~F.col("prolonged_los").isin(0, 1)),
    ]
