"""Who trains on which patient, and when: pure functions of (shards' sizes, seed, epoch, world).

The epoch's order is the shards in an order drawn for the epoch, and inside each shard its rows in an order
drawn for epoch and shard. Each rank has a contiguous range of it, so it opens few shards, and ranges differ
by one patient at most, so all ranks have equally many steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.core.hashing import derive_key, permutation

Range = tuple[int, int]  # start, stop

_SHARDS, _ROWS = 1, 2  # kinds of draw


def count(spans: Sequence[Range]) -> int:
    """Places in all of the ranges."""
    return sum(stop - start for start, stop in spans)


def part(spans: Sequence[Range], start: int, stop: int) -> tuple[Range, ...]:
    """Places `start` to `stop` of the ranges taken as one row."""
    found = []
    for first, last in spans:
        low, high = max(first, first + start), min(last, first + stop)
        if low < high:
            found.append((low, high))
        start, stop = start - (last - first), stop - (last - first)
    return tuple(found)


def share(spans: Sequence[Range], rank: int, world_size: int) -> tuple[Range, ...]:
    """The contiguous part of the ranges that is one rank's; parts differ by one place at most."""
    each, extra = divmod(count(spans), world_size)
    start = rank * each + min(rank, extra)
    return part(spans, start, start + each + (rank < extra))


@dataclass(frozen=True)
class Position:
    """Where a run stands in its data: `step` steps of this plan of an epoch are done.

    remaining: the ranges of the epoch's order that were not yet trained on when the plan was made (the whole
    order, but after a change of world size what the earlier plan had left).
    """

    epoch: int
    remaining: tuple[Range, ...]
    world_size: int
    batch_size: int
    step: int = 0

    @classmethod
    def start(cls, epoch: int, num_patients: int, world_size: int, batch_size: int) -> Position:
        return cls(epoch, ((0, num_patients),) if num_patients else (), world_size, batch_size)

    @property
    def num_steps(self) -> int:
        """Steps of this plan, on every rank."""
        largest_share = -(-count(self.remaining) // self.world_size)
        return -(-largest_share // self.batch_size)

    @property
    def is_done(self) -> bool:
        return self.step >= self.num_steps

    def share_of(self, rank: int) -> tuple[Range, ...]:
        """What one rank trains on from here to the plan's end."""
        mine = share(self.remaining, rank, self.world_size)
        return part(mine, self.step * self.batch_size, count(mine))

    def after_step(self) -> Position:
        return replace(self, step=self.step + 1)

    def for_world(self, world_size: int, batch_size: int) -> Position:
        """The same place for a run of other processes or another batch: every patient not yet seen, once."""
        if (world_size, batch_size) == (self.world_size, self.batch_size):
            return self
        left = [span for rank in range(self.world_size) for span in self.share_of(rank)]
        return Position(self.epoch, _merged(left), world_size, batch_size)

    def steps_to_see(self, patients: int, num_patients: int) -> int:
        """Steps from here until all ranks have seen so many more; num_patients: of an epoch."""
        each_step = self.world_size * self.batch_size
        left = sum(count(self.share_of(rank)) for rank in range(self.world_size))
        if patients <= left:
            return max(0, -(-patients // each_step))
        epoch = Position.start(self.epoch, num_patients, self.world_size, self.batch_size)
        epochs, rest = divmod(patients - left, num_patients)
        return self.num_steps - self.step + epochs * epoch.num_steps + -(-rest // each_step)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "remaining": [list(span) for span in self.remaining]}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Position:
        return cls(**{**plain, "remaining": tuple((start, stop) for start, stop in plain["remaining"])})


def _merged(spans: Sequence[Range]) -> tuple[Range, ...]:
    """Ranges in ascending order, those that touch made one."""
    merged: list[Range] = []
    for start, stop in sorted(spans):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)


@dataclass(frozen=True)
class Segment:
    """Rows of one shard in the order in which they are trained on."""

    shard: int
    rows: np.ndarray
    """(K,) int64: row numbers inside the shard"""


class Order:
    """An order of all rows of a split: place 0 to num_patients - 1 → (shard, row)."""

    def __init__(self, shard_rows: Sequence[int], key: np.uint64 | None) -> None:
        """shard_rows: rows of each shard. key: draws the order; None keeps the rows as they stand."""
        self._shard_rows = np.asarray(shard_rows, np.int64)
        self._key = key
        shards = (
            np.arange(len(shard_rows))
            if key is None
            else permutation(derive_key(key, _SHARDS), len(shard_rows))
        )
        self._shards = shards
        self._ends = np.cumsum(self._shard_rows[shards]) if len(shards) else np.zeros(0, np.int64)

    @classmethod
    def of_epoch(cls, shard_rows: Sequence[int], seed: int, epoch: int) -> Order:
        """A fresh order for each epoch of training."""
        return cls(shard_rows, derive_key(seed, epoch))

    @property
    def num_patients(self) -> int:
        return int(self._shard_rows.sum())

    def segments(self, spans: Sequence[Range]) -> Iterator[Segment]:
        """The rows at the places of the ranges, shard by shard, in order."""
        for start, stop in spans:
            while start < stop:
                slot = int(np.searchsorted(self._ends, start, side="right"))
                end = int(self._ends[slot])
                shard = int(self._shards[slot])
                first = end - int(self._shard_rows[shard])
                last = min(stop, end)
                yield Segment(shard, self._rows(shard)[start - first : last - first])
                start = last

    def _rows(self, shard: int) -> np.ndarray:
        size = int(self._shard_rows[shard])
        if self._key is None:
            return np.arange(size, dtype=np.int64)
        return permutation(derive_key(self._key, _ROWS, shard), size)
