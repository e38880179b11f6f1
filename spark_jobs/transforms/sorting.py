"""Sorting by several whole numbers at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_MOST = 2**62


def sorted_by(*keys: Ints) -> Ints:
    """(N,) the order that sorts by the first key, then the second, and so on.

    Neighbouring keys share one 64-bit number where their ranges allow it: one sort then does for several.
    """
    packed: list[Ints] = []
    room = 0
    for key in keys:
        if not len(key):
            continue
        least, span = int(key.min()), int(key.max()) - int(key.min()) + 1
        if span == 1:
            continue
        if packed and span <= room:
            packed[-1] = packed[-1] * span + (key - least)
        else:
            packed.append(key - least)
            room = _MOST
        room //= span
    if not packed:
        return np.arange(len(keys[0]))
    return np.lexsort(packed[::-1]) if len(packed) > 1 else np.argsort(packed[0], kind="stable")
