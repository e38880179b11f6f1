"""Numbers that each patient has one of (codes, visits), counted: number → patients."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise


def quantile(counts: Mapping[int, int], share: float) -> int:
    """The smallest number that at least this share of the patients does not exceed."""
    patients, seen = sum(counts.values()), 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= share * patients:
            return number
    raise AssertionError("a share is at most 1, and there is a patient")


def power_of_two_bins(counts: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """Patients between powers of two: (N + 1,) edges and (N,) patients. Numbers are 1 or more."""
    first, last = min(counts), max(counts)
    edges = [1 << n for n in range(first.bit_length() - 1, last.bit_length() + 1)]
    patients = [
        sum(number for found, number in counts.items() if left <= found < right)
        for left, right in pairwise(edges)
    ]
    return edges, patients
