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


def number_codes(counted: pa.Table | None, tokens: Sequence[str] = SPECIAL_TOKENS) -> pa.Table:
    """The vocabulary's table: `tokens`, whose ids stay, then further codes, by patients, descending, ties by
    token; ids from 0.

    counted: (token, num_patients, num_occurrences) in any order, on which the result does not depend. What
    was not counted has 0.
    """
    order = [("num_patients", "descending"), ("token", "ascending")]
    counts = {row["token"]: row for row in counted.sort_by(order).to_pylist()} if counted else {}
    known = set(tokens)
    every = [*tokens, *(token for token in counts if token not in known)]

    def of_each(name: str) -> list[int]:
        return [counts[token][name] if token in counts else 0 for token in every]

    columns = [list(range(len(every))), every, of_each("num_patients"), of_each("num_occurrences")]
    return pa.table(columns, schema=VOCABULARY.arrow)
