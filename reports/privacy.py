"""The small-cell rule for every number on a run's page, whatever it counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.numbers import NONE, number
from schemas.small_cells import FEW, is_small, publishable, tells_of_a_small_group


@dataclass(frozen=True)
class ShownCounts:
    """Shows numbers so that no group of 1 to 10 patients can be read off.

    Three rows are of three patients at most, and so are three claims, visits or codes: the rule is one for
    every unit. A small group could also be found by subtraction, of the rest from a total. So as soon as a
    run has a small number, or two numbers that differ by one, every number on its page is rounded to tens.
    """

    rounded: bool

    @classmethod
    def for_cells(cls, cells: Iterable[int]) -> ShownCounts:
        """cells: every number that the page could show, and what can be worked out from several."""
        return cls(tells_of_a_small_group(cells))

    def show(self, found: int) -> str:
        if is_small(found):
            return FEW
        return f"about {self.value(found):,}" if self.rounded and found else f"{found:,}"

    def mean(self, amount: int, patients: int) -> str:
        """So much a patient, from the numbers that may be shown."""
        shown = self.value(patients)
        return number(self.value(amount) / shown) if shown else NONE

    def value(self, found: int) -> int:
        """The number that a picture may draw; 0 of a small one."""
        return (publishable(found, found) or 0) if self.rounded or is_small(found) else found
