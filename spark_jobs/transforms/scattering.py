"""Rows to other tasks, as whole Arrow batches: no row is taken apart on the way.

A worker that has rows cuts them by partition and sends each piece on as one value, bytes, which Spark moves
like any other. Where workers have the rows before and after, that costs a fraction of Spark's own way, which
makes rows of Arrow, and Arrow of rows (benchmarks/README.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

PARTITION, ROWS = "partition", "rows"
PIECES_DDL = f"{PARTITION} int, {ROWS} binary"
_PIECES = pa.schema([(PARTITION, pa.int32()), (ROWS, pa.binary())])
# Mostly offsets and nulls: half the bytes go through the worker's pipe, at no cost in time.
_WRITING = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def scatter(rows: pa.RecordBatch, partition: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """PIECES_DDL, each piece a batch of its own, since it may be large. partition: (N,) of each row."""
    if not rows.num_rows:
        return
    order = np.argsort(partition, kind="stable")
    partitions, starts = np.unique(partition[order], return_index=True)
    rows = rows.take(pa.array(order))
    for number, start, stop in zip(partitions, starts, [*starts[1:], rows.num_rows], strict=True):
        piece = pa.array([_packed(rows.slice(start, stop - start))], pa.binary())
        yield pa.RecordBatch.from_arrays([pa.array([number], pa.int32()), piece], schema=_PIECES)


def shuffled(pieces: DataFrame, num_partitions: int) -> DataFrame:
    """Each piece where its partition is."""
    return pieces.repartitionById(num_partitions, PARTITION).select(ROWS)


def gather(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    """All rows of a partition of pieces, in no order; None where there are none."""
    pieces = [_unpacked(piece) for batch in batches for piece in batch[ROWS]]
    return pa.concat_batches(pieces) if pieces else None


def _packed(rows: pa.RecordBatch) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_WRITING) as stream:
        stream.write_batch(rows)
    return memoryview(sink.getvalue())


def _unpacked(piece: pa.BinaryScalar) -> pa.RecordBatch:
    return pa.ipc.open_stream(piece.as_buffer()).read_next_batch()
