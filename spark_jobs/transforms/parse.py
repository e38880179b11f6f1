"""Text columns → dates and whole numbers. Each distinct text is parsed once, in plain Python.

Results are whole numbers, of which two, above all real ones, say that there is nothing, or nothing that can
be read.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.missing import is_missing

MISSING, UNREADABLE = 1 << 40, (1 << 40) + 1
_DATE = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]+)(\.0*)?")
_EPOCH = datetime.date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = (datetime.date.min - _EPOCH).days, (datetime.date.max - _EPOCH).days
_INT32 = range(-(2**31), 2**31)

Ints = npt.NDArray[np.int64]


def days(column: pa.Array) -> Ints:
    """(N,) days since 1970 of dates, or of text of the form YYYY-MM-DD; unreadable beyond the year 9999."""
    if pa.types.is_date32(column.type):
        found = column.cast(pa.int32()).cast(pa.int64()).fill_null(MISSING).to_numpy()
        is_date = (found >= _FIRST_DAY) & (found <= _LAST_DAY) | (found == MISSING)
        return found if is_date.all() else np.where(is_date, found, UNREADABLE)
    return _by_text(column, _day)


def whole_numbers(column: pa.Array) -> Ints:
    """(N,) of numbers, or text like 3 or 3.0; unreadable beyond 32 bits."""
    return _by_text(column, _whole_number)


def _by_text(column: pa.Array, parse: Callable[[str], int]) -> Ints:
    encoded = column.cast(pa.string()).dictionary_encode()
    values = [MISSING if is_missing(text) else parse(text.strip()) for text in encoded.dictionary.to_pylist()]
    return np.array([*values, MISSING], np.int64)[encoded.indices.fill_null(len(values)).to_numpy()]


def _day(text: str) -> int:
    if not _DATE.fullmatch(text):
        return UNREADABLE
    try:
        return (datetime.date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        return UNREADABLE


def _whole_number(text: str) -> int:
    found = _WHOLE_NUMBER.fullmatch(text)
    number = int(found[1]) if found else UNREADABLE
    return number if number in _INT32 else UNREADABLE
