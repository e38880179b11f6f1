"""Counting codes, exactly, over the training split, and numbering them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from schemas.sequences import SPLITS, TRAIN
from schemas.vocabulary import SPECIAL_TOKENS, VOCABULARY
from spark_jobs.transforms.hashing import xxh64
from spark_jobs.transforms.scattering import PIECES_DDL, gather, scatter, shuffled
from spark_jobs.transforms.splits import split_of
from spark_jobs.transforms.visit_rules import begins_run, numbered
from spark_jobs.transforms.visits import begins_text_run

NO_MINIMUM = 1
COUNTS = ("num_patients", "num_occurrences")
COUNTED_DDL = "token string, num_patients bigint, num_occurrences bigint"
# Tasks whose sums one task adds up, where it looks at all of them at once.
_TASKS_ADDED = 64


def count_codes(
    frame: DataFrame, num_tasks: int, count: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
) -> DataFrame:
    """COUNTED_DDL: what `count` makes of each of the frame's partitions, batches of that, added up by token.

    num_tasks: about how many partitions the frame has. Only each partition's sums go further.
    """
    num_partitions = max(1, math.ceil(num_tasks / _TASKS_ADDED))

    def count_here(partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # A partition may have nothing to count: no patient of the training split, or no news.
        counted = [rows for rows in count(partition) if rows.num_rows]
        if counted:
            sums = _added_up(pa.Table.from_batches(counted))
            yield from scatter(sums, xxh64(sums["token"]) % num_partitions)

    def add_up(pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counted = gather(pieces)
        if counted is not None:
            yield _added_up(pa.Table.from_batches([counted]))

    return shuffled(frame.mapInArrow(count_here, PIECES_DDL), num_partitions).mapInArrow(add_up, COUNTED_DDL)


def _added_up(counted: pa.Table) -> pa.RecordBatch:
    """One row a token, of at least one."""
    added = counted.group_by("token", use_threads=False).aggregate([(name, "sum") for name in COUNTS])
    return added.rename_columns(["token", *COUNTS]).combine_chunks().to_batches()[0]


def count_batch(rows: pa.RecordBatch, salt: str, only_training: bool) -> pa.RecordBatch:
    """COUNTED_DDL, each code once, of whole patients' diagnoses: patients and rows of the training split.

    only_training: leave out the codes that only valid or test patients have; else they are there with 0.
    """
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
