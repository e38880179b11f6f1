"""The small-cell rule: nothing that is shown or kept tells of a group of 1 to 10 patients.

Source: the CMS cell size suppression policy. A hidden group must not be found by subtraction either: bins are
joined to their neighbours, and counts beside hidden ones are rounded to tens.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS

ROUND_TO = 10
FEW = f"fewer than {SMALL_CELL_MIN_PATIENTS}"
"""What is said in place of a number of 1 to 10."""


def is_small(patients: int) -> bool:
    return 0 < patients < SMALL_CELL_MIN_PATIENTS


def to_tens(number: int) -> int:
    return (number + ROUND_TO // 2) // ROUND_TO * ROUND_TO


def publishable(number: int, patients: int) -> int | None:
    """A count of anything that so many patients have, each once at least: None where they are too few.

    Else to tens; 11 to 14 stay 11, so that no number looks like that of a small cell.
    """
    if is_small(patients):
        return None
    return max(SMALL_CELL_MIN_PATIENTS, to_tens(number)) if number else 0


def publishable_share(share: float, patients: int) -> float | None:
    """A share of so many patients: None where too few of them have it, or have it not."""
    having = round(share * patients)
    return None if min(having, patients - having) < SMALL_CELL_MIN_PATIENTS else share


def in_words(number: int) -> str:
    """A number of anything for a log or message, `about 40`: as many rows may be of as many patients."""
    shown = publishable(number, number)
    return f"about {shown:,}" if shown else published_in_words(shown, none="no")


def published_in_words(shown: int | None, none: str = "0") -> str:
    """What `publishable` gave, for people."""
    if shown is None:
        return FEW
    return f"{shown:,}" if shown else none


def tells_of_a_small_group(numbers: Iterable[int]) -> bool:
    """Whether one of the numbers is small, or two of them are so close that their difference is."""
    ascending = sorted({0, *numbers})
    return any(is_small(right - left) for left, right in pairwise(ascending))


def merge_small_bins(edges: list[int], patients: list[int]) -> tuple[list[int], list[int]]:
    """Join neighbouring bins, from the right, until each has no or enough patients.

    edges: (N + 1,) ascending; patients: (N,). What is left over at the left end joins its right neighbour.
    """
    kept_edges, kept = [edges[-1]], []
    waiting = 0
    for left, count in zip(reversed(edges[:-1]), reversed(patients), strict=True):
        waiting += count
        if not is_small(waiting):
            kept_edges.append(left)
            kept.append(waiting)
            waiting = 0
    while waiting and kept:  # the left end is too small: widen its right neighbour, past empty bins
        waiting += kept.pop()
        kept_edges.pop()
        if not is_small(waiting):
            kept_edges.append(edges[0])
            kept.append(waiting)
            waiting = 0
    return kept_edges[::-1], kept[::-1]
