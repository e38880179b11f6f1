"""The small-cell rule for everything that the page says about numbers of patients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.numbers import NONE, number
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS

ROUND_TO = 10


@dataclass(frozen=True)
class PatientCounts:
    """Shows numbers of patients so that no group of 1 to 10 of them can be read off.

    One small group could be found by subtracting its neighbours from their total. So as soon as a run has
    one, every number of patients on its page is rounded to tens.
    """

    rounded: bool

    @classmethod
    def for_cells(cls, cells: Iterable[int]) -> PatientCounts:
        """cells: every number of patients that the page could show."""
        return cls(any(0 < cell < SMALL_CELL_MIN_PATIENTS for cell in cells))

    def show(self, patients: int) -> str:
        if 0 < patients < SMALL_CELL_MIN_PATIENTS:
            return f"fewer than {SMALL_CELL_MIN_PATIENTS}"
        return f"about {self.value(patients):,}" if self.rounded and patients else f"{patients:,}"

    def mean(self, amount: int, patients: int) -> str:
        """So much a patient, from the number of patients that may be shown."""
        shown = self.value(patients)
        return number(amount / shown) if shown else NONE

    def value(self, patients: int) -> int:
        """The number that a picture may draw."""
        return (patients + ROUND_TO // 2) // ROUND_TO * ROUND_TO if self.rounded else patients


def merge_small_bins(edges: list[int], patients: list[int]) -> tuple[list[int], list[int]]:
    """Join neighbouring bins, from the right, until each has no or enough patients.

    edges: (N + 1,) ascending; patients: (N,). What is left over at the left end joins its right neighbour.
    """
    kept_edges, kept = [edges[-1]], []
    waiting = 0
    for left, count in zip(reversed(edges[:-1]), reversed(patients), strict=True):
        waiting += count
        if waiting == 0 or waiting >= SMALL_CELL_MIN_PATIENTS:
            kept_edges.append(left)
            kept.append(waiting)
            waiting = 0
    while waiting and kept:  # the left end is too small: widen its right neighbour, past empty bins
        waiting += kept.pop()
        kept_edges.pop()
        if waiting >= SMALL_CELL_MIN_PATIENTS:
            kept_edges.append(edges[0])
            kept.append(waiting)
            waiting = 0
    return kept_edges[::-1], kept[::-1]
