"""Counting codes, exactly, over the training split, and numbering them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.sequences import SPLITS, TRAIN
from schemas.vocabulary import SPECIAL_TOKENS, VOCABULARY
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.splits import split_of
from spark_jobs.transforms.visit_rules import begins_run, numbered
from spark_jobs.transforms.visits import begins_text_run

NO_MINIMUM = 1
COUNTED_DDL = "token string, num_patients bigint, num_occurrences bigint"


def count_codes(
    frame: DataFrame, patient_rows: PatientRows, salt: str, only_training: bool = True
) -> DataFrame:
    """(token, num_patients, num_occurrences) of every code: patients and rows of the training split.

    frame, patient_rows: of patient_rows.frame_of_patients. only_training: leave out the codes that only valid
    or test patients have; else they are there with 0. Exact: patients are counted where their rows are, and
    only each batch's sums by code go further.
    """

    def count(partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in patient_rows.batches(partition):
            yield count_batch(rows, salt, only_training)

    return (
        frame.mapInArrow(count, COUNTED_DDL)
        .groupBy("token")
        .agg(F.sum("num_patients").alias("num_patients"), F.sum("num_occurrences").alias("num_occurrences"))
    )


def count_batch(rows: pa.RecordBatch, salt: str, only_training: bool) -> pa.RecordBatch:
    """COUNTED_DDL, each code once, of whole patients' diagnoses."""
    codes, new_patient = rows["code"].dictionary_encode(), begins_text_run(rows["patient_id"])
    code, num_codes = codes.indices.to_numpy().astype(np.int64), len(codes.dictionary)
    patient = numbered(new_patient)
    in_training = split_of(salt, rows["patient_id"].filter(pa.array(new_patient))) == SPLITS.index(TRAIN)
    training = in_training[patient]
    pairs = np.sort((patient * num_codes + code)[training])
    pairs = pairs[begins_run(pairs)]  # np.unique hashes, which takes ten times as long
    counted = pa.RecordBatch.from_pydict(
        {
            "token": codes.dictionary,
            "num_patients": np.bincount(pairs % num_codes, minlength=num_codes),
            "num_occurrences": np.bincount(code[training], minlength=num_codes),
        }
    )
    return counted.filter(pc.field("num_patients") > 0) if only_training else counted


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
