"""Text that was decoded as another encoding than it was written in: the sign U+FFFD stands for what was lost.

Who reads such text can no longer tell one value from another: Müller and Möller are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

REPLACED = "\ufffd"
_BYTES = re.compile(re.escape(REPLACED.encode()))


def has_replaced(columns: Iterable[pa.Array]) -> pa.Array | None:
    """(N,) whether a row has the sign in any of the columns of text; None where no row has."""
    found = [
        pc.fill_null(pc.match_substring(column, REPLACED), False)
        for column in columns
        if _maybe_has_replaced(column)
    ]
    return reduce(pc.or_, found) if found else None


def _maybe_has_replaced(column: pa.Array) -> bool:
    """By one look at the bytes of the array, and of those that it is a slice of."""
    _, _, content = column.buffers()
    return content is not None and _BYTES.search(content) is not None
