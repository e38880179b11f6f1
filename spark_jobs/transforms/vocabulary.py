"""Counting codes, exactly, over the training split, and numbering them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.sequences import SPLITS
from schemas.vocabulary import SPECIAL_TOKENS, VOCABULARY
from spark_jobs.transforms.splits import split_of

IN_TRAINING = "in_training"
NO_MINIMUM = 1


def count_codes(diagnoses: DataFrame, salt: str, min_patients: int) -> DataFrame:
    """(token, num_patients, num_occurrences) of every code: patients and rows of the training split.

    At min_patients 1 there is no minimum, so the codes that only valid or test patients have are counted
    too: with 0. Two aggregations, the first by (code, patient): exact, and no code, however common, is
    counted in one place.
    """
    rows = diagnoses.select(
        F.col("code").alias("token"), "patient_id", (split_of(salt) == SPLITS[0]).alias(IN_TRAINING)
    )
    if min_patients > NO_MINIMUM:
        rows = rows.where(IN_TRAINING)
    pairs = rows.groupBy("token", "patient_id", IN_TRAINING).agg(F.count("*").alias("rows"))
    return pairs.groupBy("token").agg(
        F.count_if(IN_TRAINING).alias("num_patients"),
        F.sum(F.when(F.col(IN_TRAINING), F.col("rows")).otherwise(0)).alias("num_occurrences"),
    )


def kept_codes(counted: DataFrame, min_patients: int) -> DataFrame:
    """The codes that enough patients have, or all at min_patients 1."""
    return counted if min_patients == NO_MINIMUM else counted.where(F.col("num_patients") >= min_patients)


def number_codes(codes: pa.Table) -> pa.Table:
    """The vocabulary's table: special tokens, then codes by patients, descending, ties by token; ids from 0.

    codes: (token, num_patients, num_occurrences) in any order. The result does not depend on that order.
    """
    ordered = codes.sort_by([("num_patients", "descending"), ("token", "ascending")])
    return with_ids([*SPECIAL_TOKENS, *ordered["token"].to_pylist()], ordered)


def with_ids(tokens: Sequence[str], counted: pa.Table | None = None) -> pa.Table:
    """Tokens by id as the vocabulary's table; counts belong to the last tokens, the others have 0."""
    uncounted = len(tokens) - (counted.num_rows if counted else 0)

    def padded(name: str) -> list[int]:
        return [0] * uncounted + (counted[name].to_pylist() if counted else [])

    return pa.table(
        [list(range(len(tokens))), list(tokens), padded("num_patients"), padded("num_occurrences")],
        schema=VOCABULARY.arrow,
    )
