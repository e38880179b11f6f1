"""Ids as text, one spelling an id: `31251999`, `31251999.0` and `3.1251999E7` are one.

An id that went through a nullable integer is a float, or the text of one. The rule, for every column of ids:

- Whole numbers, whichever type they have, are their digits.
- Text of another form than a float's stays: `00123`, `A.1`, `1E5`, `1.2.840`. No program writes a float with
  leading zeros, nor with an exponent and neither a dot nor a sign.
- The rest is unreadable: fractions, infinity, and what a float cannot hold exactly, from 2^53 on (of 32 bits
  2^24), where several ids share one float. So are digits that were cut off, as in `1.15967E+08`: where the
  exponent has its plus, as C, R and spreadsheets write it, all of them must be there. NaN is a missing value.

Decimals are exact: as a type they may have any size.
"""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType, DoubleType, FloatType, StringType

from spark_jobs.transforms.codes import WHITE_SPACE, trim

KINDS = (DoubleType, FloatType, DecimalType, StringType)  # what Spark may have ids in beside whole numbers
EXACT, EXACT_32 = 2**53, 2**24
_DIGITS = r"-?(?:0|[1-9][0-9]*)"
# For Python, Java and RE2 alike.
_FLOAT = (
    rf"{_DIGITS}\.[0-9]*(?:[eE]-?[0-9]{{1,3}})?"
    rf"|{_DIGITS}(?:\.[0-9]*)?[eE]\+[0-9]{{1,3}}"
    r"|[-+]?(?:inf|Infinity)"
)
# Those that say all their digits: as many after the dot as the exponent, where it has its plus.
_ALL_THERE = "|".join(rf"\.[0-9]{{{n},}}[eE]\+0{{0,2}}{n}" for n in range(1, 16))
_COMPLETE = rf"{_DIGITS}(?:\.[0-9]*(?:[eE]-?[0-9]{{1,3}})?|(?:\.[0-9]*)?[eE]\+0{{1,3}}|{_ALL_THERE})"
# Text without any of these is no float's.
_SIGNS = (".", "+", "nf")

_IS_FLOAT, _IS_COMPLETE = re.compile(_FLOAT), re.compile(_COMPLETE)

Booleans = npt.NDArray[np.bool_]


def whole_number(text: str) -> str | None:
    """The digits of a whole float's text; other text as it is; None for an unreadable one. text: trimmed."""
    if not _IS_FLOAT.fullmatch(text):
        return text
    number = float(text) if _IS_COMPLETE.fullmatch(text) else math.inf
    return str(int(number)) if number.is_integer() and abs(number) < EXACT else None


def plain_ids(ids: pa.Array) -> tuple[pa.Array, Booleans | None]:
    """(ids of one spelling; (N,) which are unreadable and keep their own, None for none). ids: trimmed."""
    if not _may_have_floats(ids):
        return ids, None
    is_float = pc.match_substring_regex(ids, rf"\A(?:{_FLOAT})\z").fill_null(False)
    if not pc.any(is_float).as_py():
        return ids, None
    found = ids.filter(is_float).dictionary_encode()
    digits = pa.array([whole_number(text) for text in found.dictionary.to_pylist()], pa.string())
    plain = pc.replace_with_mask(ids, is_float, pc.coalesce(digits, found.dictionary).take(found.indices))
    if not digits.null_count:
        return plain, None
    unreadable = is_float.to_numpy(zero_copy_only=False)
    unreadable[unreadable] = pc.is_null(digits).take(found.indices).to_numpy(zero_copy_only=False)
    return plain, unreadable


def _may_have_floats(ids: pa.Array) -> bool:
    """By a glance at all bytes at once, of which most sources have none of _SIGNS."""
    if not len(ids) or ids.null_count == len(ids):
        return False
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    data = ids.buffers()[2]
    text = data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes() if data else b""
    # Single bytes are found much faster than two.
    return any(sign[-1:].encode() in text and sign.encode() in text for sign in _SIGNS)


def number_of(value: Column, kind: DataType) -> Column:
    """A number; of a float's text the number, infinity where it lacks digits; null for others."""
    if isinstance(kind, StringType):
        dot, plus, infinity = (F.contains(value, F.lit(sign)) for sign in _SIGNS)
        is_float = (dot | plus | infinity) & F.rlike(value, F.lit(_anywhere(_FLOAT)))
        number = F.btrim(value, F.lit(WHITE_SPACE)).try_cast("double")
        complete = F.when(F.rlike(value, F.lit(_anywhere(_COMPLETE))), number)
        return F.when(is_float, F.coalesce(complete, F.lit(math.inf)))
    return value if isinstance(kind, DecimalType) else F.when(~F.isnan(value), value)


def digits_of(number: Column, kind: DataType) -> Column:
    """The digits of number_of a column of that type; null for none, and for an unreadable id."""
    if isinstance(kind, DecimalType):
        return F.when(F.floor(number) == number, F.floor(number).cast("string"))
    exact = EXACT_32 if isinstance(kind, FloatType) else EXACT
    is_whole = (number == F.rint(number)) & (F.abs(number) < exact)
    return F.when(is_whole, number.try_cast("bigint").cast("string"))


def _anywhere(pattern: str) -> str:
    """The pattern for text that is not trimmed."""
    blanks = f"[{re.escape(WHITE_SPACE)}]*"
    return rf"\A{blanks}(?:{pattern}){blanks}\z"


def as_bigint(text: Column) -> Column:
    """The whole number that text has, trimmed, digits alone; null for others.

    Spark's own cast passes over control characters, so a digit that went wrong would be one less.
    """
    trimmed = trim(text)
    return F.when(F.rlike(trimmed, F.lit(r"\A[+-]?[0-9]+\z")), trimmed.try_cast("bigint"))


def named_visit(visit: Column) -> Column:
    """A visit's id, null where it says that there is none: zeros alone, or -1. visit: trimmed text."""
    return F.when((F.ltrim(visit, F.lit("0")) != "") & (visit != "-1"), visit)


def named_visits(visits: pa.Array) -> pa.Array:
    """As named_visit, on Arrow; null for empty text too."""
    is_none = pc.or_(pc.equal(visits, ""), pc.equal(visits, "-1"))
    if pc.any(pc.starts_with(visits, "0")).as_py():
        is_none = pc.or_(is_none, pc.equal(pc.ascii_ltrim(visits, "0"), ""))
    return pc.if_else(is_none, pa.scalar(None, pa.string()), visits)
