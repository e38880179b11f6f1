"""Random numbers that depend on their key alone: no generator has a state to save or to keep in step.

Source: SplitMix64's output function (Steele, Lea and Flood 2014) over a counter.
"""

from __future__ import annotations

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)


def hash64(key: np.uint64 | np.ndarray, counters: np.ndarray) -> np.ndarray:
    """One 64-bit number for each pair of key and counter.

    key: () or as counters, uint64. counters: any shape, whole numbers. Result: uint64, broadcast shape.
    """
    state = (np.asarray(counters).astype(np.uint64) + np.uint64(1)) * _GAMMA  # wraps around, as it must
    state = state + key
    state ^= state >> np.uint64(30)
    state *= _MULTIPLY_1
    state ^= state >> np.uint64(27)
    state *= _MULTIPLY_2
    state ^= state >> np.uint64(31)
    return state


def derive_key(*parts: int | np.uint64) -> np.uint64:
    """One key from several whole numbers; another order of the same numbers gives another key."""
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = hash64(key, np.asarray([int(part) % 2**64], np.uint64))
    return key[0]


def permutation(key: np.uint64, size: int) -> np.ndarray:
    """(size,) int64: the numbers 0 to size - 1 in an order that depends on the key alone."""
    return np.argsort(hash64(key, np.arange(size)), kind="stable")
