"""The small-cell rule for everything that the page says about numbers of patients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.numbers import NONE, number
from schemas.small_cells import is_small, to_tens
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS


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
        return cls(any(map(is_small, cells)))

    def show(self, patients: int) -> str:
        if is_small(patients):
            return f"fewer than {SMALL_CELL_MIN_PATIENTS}"
        return f"about {self.value(patients):,}" if self.rounded and patients else f"{patients:,}"

    def mean(self, amount: int, patients: int) -> str:
        """So much a patient, from the number of patients that may be shown."""
        shown = self.value(patients)
        return number(amount / shown) if shown else NONE

    def value(self, patients: int) -> int:
        """The number that a picture may draw."""
        return to_tens(patients) if self.rounded else patients
