"""Counting codes, exactly, over the training split, and numbering them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.sequences import SPLITS
from schemas.vocabulary import SPECIAL_TOKENS, VOCABULARY
from spark_jobs.transforms.splits import split_of
from spark_jobs.transforms.visits import whole_patients

IN_TRAINING = "in_training"
NO_MINIMUM = 1
COUNTED_DDL = "token string, num_patients bigint, num_occurrences bigint"


def count_codes(
    diagnoses: DataFrame, salt: str, min_patients: int, num_partitions: int | None = None
) -> DataFrame:
    """(token, num_patients, num_occurrences) of every code: patients and rows of the training split.

    At min_patients 1 there is no minimum, so the codes that only valid or test patients have are counted
    too: with 0. num_partitions: into how many patients are shuffled; None where each patient's rows lie
    together in one partition already. Exact: patients are counted where their rows are, and only each
    batch's sums by code go further.
    """
    rows = diagnoses.select(
        F.col("code").alias("token"), "patient_id", (split_of(salt) == SPLITS[0]).alias(IN_TRAINING)
    )
    if min_patients > NO_MINIMUM:
        rows = rows.where(IN_TRAINING)
    if num_partitions is not None:
        rows = rows.repartition(num_partitions, "patient_id").sortWithinPartitions("patient_id")
    counted = rows.mapInArrow(_count_batches, COUNTED_DDL)
    return counted.groupBy("token").agg(
        F.sum("num_patients").alias("num_patients"), F.sum("num_occurrences").alias("num_occurrences")
    )


def _count_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in whole_patients(batches):
        yield count_batch(rows)


def count_batch(rows: pa.RecordBatch) -> pa.RecordBatch:
    """COUNTED_DDL, each code once, of whole patients' rows (token, patient_id, in_training)."""
    codes, patients = rows["token"].dictionary_encode(), rows["patient_id"]
    code, num_codes = codes.indices.to_numpy().astype(np.int64), len(codes.dictionary)
    patient = np.zeros(len(code), np.int64)
    patient[1:] = np.cumsum(pc.not_equal(patients[1:], patients[:-1]).to_numpy(zero_copy_only=False))
    training = rows[IN_TRAINING].to_numpy(zero_copy_only=False)
    pairs = np.unique((patient * num_codes + code)[training])
    return pa.RecordBatch.from_pydict(
        {
            "token": codes.dictionary,
            "num_patients": np.bincount(pairs % num_codes, minlength=num_codes),
            "num_occurrences": np.bincount(code[training], minlength=num_codes),
        }
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
