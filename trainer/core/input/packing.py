"""Ragged → packed rows: several patients share a row of fixed width, and attention keeps them apart.

Widths are powers of two and rows come in multiples, so steps of one batch size have few different shapes:
libraries prepare a matrix product's code for its shape, which costs more than running it once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.core.input.ragged import ranges

NARROWEST = 32
"""Slots of the narrowest row."""
MULTIPLE = 256
"""The slots of all rows of one width are a multiple of this (or of the width, if that is more)."""


@dataclass(frozen=True)
class Rows:
    """Rows of one width, one after the other in a piece's slots."""

    start: int
    """The first row's first slot."""
    count: int
    width: int

    @property
    def stop(self) -> int:
        return self.start + self.count * self.width


@dataclass(frozen=True)
class Piece:
    """Rows that are in the network together: so many slots of the flat array from `start` on."""

    start: int
    rows: tuple[Rows, ...]
    """By width, which ascends; their slots are counted from 0 in each piece."""

    @property
    def stop(self) -> int:
        return self.start + self.rows[-1].stop


@dataclass(frozen=True)
class Packing:
    """Where each patient's codes stand in one flat array of slots, in which the pieces follow each other."""

    starts: np.ndarray
    """(P,) int64: the patient's first slot; the others follow it, in the same row"""
    parts: tuple[tuple[Piece, ...], ...]
    """Parts run one after the other, the pieces of a part side by side. None is empty."""

    @property
    def num_slots(self) -> int:
        return self.parts[-1][-1].stop if self.parts else 0


def pack(lengths: np.ndarray, max_slots: int | None = None, hands: int = 1) -> Packing:
    """Place patients of `lengths` (P,), each at least 1, in few rows.

    max_slots: of a part at most, or one unit of rows (MULTIPLE slots, or a wider row). hands: pieces of a
    part, which are alike in rows and so in work; fewer where there are fewer units of rows.
    """
    row_of, place, widths = _place(lengths)
    unit_of, first_slot, unit_widths = _units(widths)
    sizes = np.maximum(unit_widths, MULTIPLE)
    piece_of = _deal(sizes, max_slots, hands)
    order = np.argsort(piece_of, kind="stable")
    unit_starts = np.empty(len(sizes), np.int64)
    unit_starts[order] = np.cumsum(sizes[order]) - sizes[order]
    starts = (unit_starts[unit_of] + first_slot)[row_of] + place

    parts: dict[int, list[Piece]] = {}
    for number in np.unique(piece_of).tolist():
        units = np.flatnonzero(piece_of == number)
        piece = Piece(int(unit_starts[units[0]]), _rows(unit_widths[units]))
        parts.setdefault(number // hands, []).append(piece)
    return Packing(starts, tuple(map(tuple, parts.values())))


def _units(widths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of `widths` (R,) in units of one width that fill MULTIPLE slots, or of one wider row.

    (R,) each row's unit and its first slot in it; (U,) the units' widths, which ascend.
    """
    unit_of, first_slot = np.empty(len(widths), np.int64), np.empty(len(widths), np.int64)
    unit_widths: list[int] = []
    for width in np.unique(widths).tolist():
        rows = np.flatnonzero(widths == width)
        units, places = np.divmod(np.arange(len(rows)), _rows_a_unit(width))
        unit_of[rows], first_slot[rows] = len(unit_widths) + units, places * width
        unit_widths += [width] * int(units[-1] + 1)
    return unit_of, first_slot, np.asarray(unit_widths, np.int64)


def _rows_a_unit(width: int) -> int:
    return max(1, MULTIPLE // width)


def _rows(unit_widths: np.ndarray) -> tuple[Rows, ...]:
    """Of the units of one piece."""
    found: list[Rows] = []
    widths, counts = np.unique(unit_widths, return_counts=True)
    for width, units in zip(widths.tolist(), counts.tolist(), strict=True):
        found.append(Rows(found[-1].stop if found else 0, units * _rows_a_unit(width), width))
    return tuple(found)


def _deal(sizes: np.ndarray, max_slots: int | None, hands: int) -> np.ndarray:
    """(U,) the piece of each unit: dealt back and forth among so many hands in as few parts as there can be.

    The parts are alike too. sizes: (U,) slots of each unit.
    """
    parts = max(1, -(-int(sizes.sum()) // max_slots)) if max_slots else 1
    while True:
        turns = np.arange(len(sizes)) % (2 * parts * hands)
        pieces = np.minimum(turns, 2 * parts * hands - 1 - turns)
        if not max_slots or parts >= len(sizes):
            return pieces
        if np.bincount(pieces // hands, sizes).max() <= max_slots:
            return pieces
        parts += 1


def _place(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) each patient's row and place in it; (R,) the rows' widths.

    Longest first, each into the fullest row that has room (best fit decreasing), else into a new row of the
    narrowest width that holds it. The loop is over distinct lengths and runs of rows, not over patients.
    """
    patients = np.argsort(-lengths, kind="stable")
    counts = np.bincount(lengths)
    free = _FreeRows()
    for length in np.flatnonzero(counts)[::-1].tolist():
        free.take(length, int(counts[length]))
    rows, places, taken = np.asarray(free.taken, np.int64).reshape(-1, 3).T
    row_of, place = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    row_of[patients], place[patients] = ranges(rows, taken), np.repeat(places, taken)
    return row_of, place, np.repeat(*np.asarray(free.opened, np.int64).reshape(-1, 2).T)


class _FreeRows:
    """Runs of rows, which follow each other and are alike, by the number of slots that are still free."""

    def __init__(self) -> None:
        self.opened: list[tuple[int, int]] = []
        """(width, number) of rows in the order in which they were opened"""
        self.taken: list[tuple[int, int, int]] = []
        """(first row, place in it, number) of rows that got a patient each, in this order"""
        self._num_rows = 0
        self._runs: dict[int, list[tuple[int, int, int]]] = {}
        """Free slots → (first row, number, width)"""
        self._spaces = 0
        """Bit s is set if there are rows with s free slots."""

    def take(self, length: int, patients: int) -> None:
        """Rows for so many patients of this length."""
        while patients:
            fitting = self._spaces >> length
            if not fitting:
                self._open(length, patients)
                fitting = self._spaces >> length
            space = length + (fitting & -fitting).bit_length() - 1
            first, count, width = self._runs[space].pop()
            used = min(count, patients)
            if used < count:
                self._runs[space].append((first + used, count - used, width))
            elif not self._runs[space]:
                self._spaces &= ~(1 << space)
            self._put(space - length, (first, used, width))
            self.taken.append((first, width - space, used))
            patients -= used

    def _open(self, length: int, patients: int) -> None:
        """New rows for so many patients of this length."""
        width = max(NARROWEST, 1 << (length - 1).bit_length())
        rows = -(-patients // (width // length))
        self.opened.append((width, rows))
        self._put(width, (self._num_rows, rows, width))
        self._num_rows += rows

    def _put(self, space: int, run: tuple[int, int, int]) -> None:
        self._runs.setdefault(space, []).append(run)
        self._spaces |= 1 << space
