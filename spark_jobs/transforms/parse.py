"""Text columns → dates and orders. Each distinct text is parsed once, in plain Python.

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
from spark_jobs.transforms.ids import whole_number

MISSING, UNREADABLE = 1 << 40, (1 << 40) + 1
# What may follow a date: a time of the day and, after it, a time zone. For Python and Java alike.
TIME = (
    r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
    r" ?(?:Z|UTC|[+-][01][0-9](?::?[0-5][0-9])?)?"
)
_DATE = re.compile(rf"((?!0000)[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:{TIME})?")
_WHOLE_NUMBER = re.compile(r"([+-]?0*[0-9]{1,10})(\.0*)?")
_EPOCH = datetime.date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = (datetime.date.min - _EPOCH).days, (datetime.date.max - _EPOCH).days
# Letters follow all numbers, as they do where text is sorted.
_FIRST_LETTER = 2**31 - 27
_LETTER = re.compile("[A-Za-z]")
_NUMBERS = range(-(2**31), _FIRST_LETTER)

Ints = npt.NDArray[np.int64]


def days(column: pa.Array) -> Ints:
    """(N,) days since 1970 of dates, or of text of the form YYYY-MM-DD; unreadable beyond the year 9999.

    Of a time stamp as text it is the day that is written, in whichever time zone.
    """
    if pa.types.is_date32(column.type):
        found = column.cast(pa.int32()).cast(pa.int64()).fill_null(MISSING).to_numpy()
        is_date = (found >= _FIRST_DAY) & (found <= _LAST_DAY) | (found == MISSING)
        return found if is_date.all() else np.where(is_date, found, UNREADABLE)
    return _by_text(column, _day)


def orders(column: pa.Array) -> Ints:
    """(N,) ranks of numbers, or text like 3 or 3.0, which are their own; unreadable beyond 32 bits.

    Letters follow all numbers, in order of the alphabet, small ones as capitals: `1 N U W Y`, as in
    Med-BERT's script, which sorts text. Anything else is unreadable.
    """
    if column.null_count == len(column):
        return np.full(len(column), MISSING, np.int64)
    if pa.types.is_integer(column.type) and column.type != pa.uint64():
        found = column.cast(pa.int64()).fill_null(0).to_numpy()
        found = np.where((found >= _NUMBERS.start) & (found < _NUMBERS.stop), found, UNREADABLE)
        return np.where(column.is_valid().to_numpy(zero_copy_only=False), found, MISSING)
    return _by_text(column, _order)


def _by_text(column: pa.Array, parse: Callable[[str], int]) -> Ints:
    encoded = column.cast(pa.string()).dictionary_encode()
    values = [MISSING if is_missing(text) else parse(text.strip()) for text in encoded.dictionary.to_pylist()]
    return np.array([*values, MISSING], np.int64)[encoded.indices.fill_null(len(values)).to_numpy()]


def _day(text: str) -> int:
    found = _DATE.fullmatch(text)
    if not found:
        return UNREADABLE
    try:
        return (datetime.date.fromisoformat(found[1]) - _EPOCH).days
    except ValueError:
        return UNREADABLE


def _order(text: str) -> int:
    if _LETTER.fullmatch(text):
        return _FIRST_LETTER + ord(text.upper()) - ord("A")
    found = _WHOLE_NUMBER.fullmatch(whole_number(text) or text)
    number = int(found[1]) if found else UNREADABLE
    return number if number in _NUMBERS else UNREADABLE
