"""Ragged → packed rows: several patients share a row of fixed width, and attention keeps them apart.

Widths are powers of two and rows come in multiples, so steps of one batch size have few different shapes:
libraries prepare a matrix product's code for its shape, which costs more than running it once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NARROWEST = 32
"""Slots of the narrowest row."""
MULTIPLE = 256
"""The slots of all rows of one width are a multiple of this (or of the width, if that is more)."""


@dataclass(frozen=True)
class Rows:
    """Rows of one width, one after the other in the flat array of slots."""

    start: int
    """The first row's first slot."""
    count: int
    width: int

    @property
    def stop(self) -> int:
        return self.start + self.count * self.width


@dataclass(frozen=True)
class Packing:
    """Where each patient's codes stand in a flat array of slots."""

    starts: np.ndarray
    """(P,) int64: the patient's first slot; the others follow it, in the same row"""
    rows: tuple[Rows, ...]
    """By width, which ascends."""

    @property
    def num_slots(self) -> int:
        return self.rows[-1].stop if self.rows else 0


def pack(lengths: np.ndarray) -> Packing:
    """Place patients of `lengths` (P,), each at least 1, in few rows.

    Longest first, each into the fullest row that has room (best fit decreasing), else into a new row of the
    narrowest width that holds it. The loop is over distinct lengths, not over patients.
    """
    patients = np.argsort(-lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    row_of, place = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    free = _FreeRows()
    placed = 0
    for length, count in zip(distinct[::-1].tolist(), counts[::-1].tolist(), strict=True):
        todo = patients[placed : placed + count]
        placed += count
        while len(todo):
            rows, places = free.take(length, len(todo))
            row_of[todo[: len(rows)]] = rows
            place[todo[: len(rows)]] = places
            todo = todo[len(rows) :]

    widths = free.widths
    row_starts = np.empty(len(widths), np.int64)
    groups: list[Rows] = []
    for width in np.unique(widths).tolist():
        of_width = np.flatnonzero(widths == width)
        multiple = max(1, MULTIPLE // width)
        start = groups[-1].stop if groups else 0
        row_starts[of_width] = start + width * np.arange(len(of_width))
        groups.append(Rows(start, -(-len(of_width) // multiple) * multiple, width))
    return Packing(row_starts[row_of] + place, tuple(groups))


class _FreeRows:
    """Rows by the number of slots that are still free in them."""

    def __init__(self) -> None:
        self.widths = np.zeros(0, np.int64)
        """Of each row."""
        self._by_space: dict[int, np.ndarray] = {}
        self._spaces = 0
        """Bit s is set if there are rows with s free slots."""

    def take(self, length: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """At most so many rows for one patient of this length each: their numbers, the places in them."""
        fitting = self._spaces >> length
        if not fitting:
            self._open(length, most)
            fitting = self._spaces >> length
        space = length + (fitting & -fitting).bit_length() - 1
        rows, rest = np.split(self._by_space[space], [most])
        self._put(space, rest)
        self._put(space - length, np.concatenate([rows, self._by_space.get(space - length, rows[:0])]))
        return rows, self.widths[rows] - space

    def _open(self, length: int, patients: int) -> None:
        """New rows for so many patients of this length."""
        width = max(NARROWEST, 1 << (length - 1).bit_length())
        rows = len(self.widths) + np.arange(-(-patients // (width // length)))
        self.widths = np.concatenate([self.widths, np.full(len(rows), width)])
        self._put(width, rows)

    def _put(self, space: int, rows: np.ndarray) -> None:
        """These, and no others, have so many free slots."""
        self._by_space[space] = rows
        self._spaces = self._spaces & ~(1 << space) | (bool(len(rows)) << space)
