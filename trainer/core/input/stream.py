"""One rank's patients, in the epoch's order, out of the shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from trainer.core.input.batch import RaggedBatch
from trainer.core.input.order import Order, Range, Segment
from trainer.core.input.ragged import concatenate, take
from trainer.readers.base import ShardReader


def stream_batches(
    reader: ShardReader, order: Order, spans: Sequence[Range], batch_size: int
) -> Iterator[RaggedBatch]:
    """The patients at the places `spans` of the order, batch_size at a time, fewer in the last batch.

    Shards are read whole and one ahead, in a background thread, so at most two are in memory.
    """
    waiting: list[RaggedBatch] = []
    num_waiting = 0
    for shard, segment in _read_ahead(reader, order.segments(spans)):
        start = 0
        while start < len(segment.rows):
            rows = segment.rows[start : start + batch_size - num_waiting]
            waiting.append(take(shard, rows))
            num_waiting += len(rows)
            start += len(rows)
            if num_waiting == batch_size:
                yield concatenate(waiting)
                waiting, num_waiting = [], 0
    if waiting:
        yield concatenate(waiting)


def _read_ahead(reader: ShardReader, segments: Iterator[Segment]) -> Iterator[tuple[RaggedBatch, Segment]]:
    """Each segment with its shard; the next segment's shard is read while this one is used."""
    with ThreadPoolExecutor(1, "shard-reader") as thread:
        segment = next(segments, None)
        future = thread.submit(reader.read, segment.shard) if segment else None
        while segment and future:
            shard = future.result()
            following = next(segments, None)
            if following and following.shard != segment.shard:
                future = thread.submit(reader.read, following.shard)
            yield shard, segment
            segment = following
