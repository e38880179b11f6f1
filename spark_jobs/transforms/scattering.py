"""Rows to the partitions of their patients, as whole Arrow batches: no row is taken apart on the way.

A worker that has read rows cuts them by partition and sends each piece on as one value, bytes; Spark moves
those, as it moves any row. It costs a third of what Spark's own way costs, of rows that it turns into Arrow
for a worker in the end (benchmarks/README.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from spark_jobs.transforms.visits import whole_patients

PARTITION, ROWS = "partition", "rows"
PIECES = pa.schema([(PARTITION, pa.int32()), (ROWS, pa.binary())])
PIECES_DDL = f"{PARTITION} int, {ROWS} binary"
# A task looks at its whole partition at once, up to so many rows.
MOST_ROWS = 1_000_000


def scatter(rows: pa.RecordBatch, partition: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """PIECES, each a batch of its own, since it may be large. partition: (N,) of each row."""
    order = np.argsort(partition, kind="stable")
    partitions, starts = np.unique(partition[order], return_index=True)
    rows = rows.take(pa.array(order))
    for number, start, stop in zip(partitions, starts, [*starts[1:], rows.num_rows], strict=True):
        piece = rows.slice(start, stop - start).serialize().to_pybytes()
        yield pa.RecordBatch.from_arrays([pa.array([number], pa.int32()), pa.array([piece])], schema=PIECES)


def shuffled(pieces: DataFrame, num_partitions: int) -> DataFrame:
    """PIECES, each where its partition is."""
    return pieces.repartitionById(num_partitions, PARTITION).select(ROWS)


class Gather:
    """What a task makes of a partition of pieces: rows of whole patients, in any order of patients.

    schema: of the rows that were scattered. said: adds the columns that say what they mean, `patient` among
    them.
    """

    def __init__(
        self, schema: pa.Schema, said: Callable[[pa.RecordBatch], pa.RecordBatch], patient: str
    ) -> None:
        self.schema, self.said, self.patient = schema, said, patient

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pieces = [
            pa.ipc.read_record_batch(piece.as_buffer(), self.schema)
            for batch in batches
            for piece in batch[ROWS]
        ]
        if not pieces:
            return
        rows = self.said(pa.concat_batches(pieces))
        if rows.num_rows <= MOST_ROWS:
            yield rows
            return
        rows = rows.sort_by(self.patient)
        parts = (rows.slice(start, MOST_ROWS) for start in range(0, rows.num_rows, MOST_ROWS))
        yield from whole_patients(parts, self.patient)
