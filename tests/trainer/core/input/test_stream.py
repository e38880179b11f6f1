from __future__ import annotations

import numpy as np

from tests.trainer.core.input.batches import patients_of, random_batch
from trainer.core.input.order import Order
from trainer.core.input.ragged import take
from trainer.core.input.stream import stream_batches


class CountingReader:
    """Hands out slices of one batch as shards, and counts how many are read."""

    def __init__(self, sizes):
        self.shard_rows = sizes
        self._batch = random_batch(sum(sizes))
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self.reads = []

    def read(self, shard):
        self.reads.append(shard)
        return take(self._batch, np.arange(self._starts[shard], self._starts[shard + 1]))


def streamed(reader, order, spans, batch_size):
    return list(stream_batches(reader, order, spans, batch_size))


def test_batches_are_full_but_the_last_and_hold_the_rows_in_order():
    reader = CountingReader([5, 0, 11, 7])
    order = Order.of_epoch(reader.shard_rows, 0, 0)
    batches = streamed(reader, order, ((0, 23),), 4)
    assert [b.num_patients for b in batches] == [4] * 5 + [3]
    expected = [int(reader._starts[s.shard] + row) for s in order.segments(((0, 23),)) for row in s.rows]
    assert [int(row) for b in batches for row in b.row_numbers] == expected
    everyone = patients_of(reader._batch)
    assert [p for b in batches for p in patients_of(b)] == [everyone[row] for row in expected]


def test_each_shard_is_read_once_and_only_those_needed():
    reader = CountingReader([5, 0, 11, 7])
    order = Order(reader.shard_rows, None)
    assert sum(b.num_patients for b in streamed(reader, order, ((3, 9),), 100)) == 6
    assert reader.reads == [0, 2]


def test_spans_of_one_shard_read_it_once():
    reader = CountingReader([10])
    rows = [b.row_numbers.tolist() for b in streamed(reader, Order([10], None), ((0, 2), (5, 7)), 3)]
    assert rows == [[0, 1, 5], [6]]
    assert reader.reads == [0]


def test_reading_is_one_shard_ahead_and_no_more():
    reader = CountingReader([4] * 10)
    batches = stream_batches(reader, Order(reader.shard_rows, None), ((0, 40),), 4)
    next(batches)
    batches.close()
    assert reader.reads == [0, 1]


def test_nothing_to_do():
    assert streamed(CountingReader([3]), Order([3], None), (), 4) == []
