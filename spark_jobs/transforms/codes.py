"""`schemas.codes.normalise_code` on whole columns: each distinct code is looked at once, in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.codes import normalise_code
from schemas.missing import LONGEST_MISSING_WORD, MISSING_WORDS

# Python's notion of white space; Spark's own trim knows blanks only.
WHITE_SPACE = "".join(c for c in map(chr, range(0x3001)) if c.isspace())
_MOST_REMEMBERED = 1 << 20

Ints = npt.NDArray[np.int64]


def trim(text: Column) -> Column:
    """Without white space at both ends, as Python's str.strip."""
    # btrim looks the ends up in all of WHITE_SPACE: half the time of a scan. White space is below "!" or not
    # ASCII, which is quickly seen.
    is_ascii = F.octet_length(text) == F.char_length(text)
    needless = is_ascii & (text >= "!") & (F.substring(text, -1, 1) >= "!")
    return F.when(needless, text).otherwise(F.btrim(text, F.lit(WHITE_SPACE)))


def empty_as_null(text: Column) -> Column:
    """Trimmed; null where nothing is left, or a word that stands for a missing value (schemas.missing)."""
    trimmed = trim(text)
    return F.when((trimmed != "") & ~is_missing_word(trimmed), trimmed)


def is_missing_word(trimmed: Column) -> Column:
    """Whether the text, which is not null, is one of schemas.missing.MISSING_WORDS."""
    return (F.char_length(trimmed) <= LONGEST_MISSING_WORD) & F.lower(trimmed).isin(*MISSING_WORDS)


def present(column: pa.Array) -> pa.Array:
    """As empty_as_null, of text on Arrow."""
    trimmed = pc.utf8_trim(column, characters=WHITE_SPACE)
    short = pc.less_equal(pc.binary_length(trimmed), LONGEST_MISSING_WORD).fill_null(False)
    if not pc.any(short).as_py():
        return trimmed
    # Only a few are short, as a rule: the others are not looked at again.
    words = pc.is_in(pc.utf8_lower(trimmed.filter(short)), pa.array(["", *MISSING_WORDS]))
    missing = pc.replace_with_mask(short, short, words)
    return pc.if_else(missing, pa.scalar(None, trimmed.type), trimmed)


def normalised_code(system: Column, code: Column) -> Column:
    """`SYSTEM//CODE`, one spelling a code; null where the code does not have the form of its system.

    system: any name of one of SYSTEMS, or another, whose codes keep their form. code: trimmed, not missing.
    """

    def normalise(systems: pa.Array, codes: pa.Array) -> pa.Array:
        system, code = systems.dictionary_encode(), codes.dictionary_encode()
        tokens, token = distinct_tokens(
            numbers_of(system), system.dictionary.to_pylist(), numbers_of(code), code.dictionary.to_pylist()
        )
        return pa.array([*tokens, None], pa.string()).take(np.where(token < 0, len(tokens), token))

    return F.arrow_udf(normalise, "string")(system, code)


def numbers_of(column: pa.DictionaryArray) -> Ints:
    """(N,) each value's place in the dictionary, -1 for null."""
    return column.indices.fill_null(-1).to_numpy().astype(np.int64)


def distinct_tokens(
    system: Ints, systems: Sequence[str], code: Ints, codes: Sequence[str]
) -> tuple[list[str], Ints]:
    """(the tokens, sorted; (N,) each row's place among them, -1 for none).

    system, code: (N,) numbers into systems and codes, -1 for null.
    """
    pair = (system + 1) * (len(codes) + 1) + code + 1
    # There are far fewer pairs than rows, so they need no sorting.
    is_there = np.zeros((len(systems) + 1) * (len(codes) + 1), bool)
    is_there[pair] = True
    pairs, which = np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[pair]
    found = [
        _token(systems[s - 1], codes[c - 1]) if s and c else None
        for s, c in (divmod(value, len(codes) + 1) for value in pairs.tolist())
    ]
    tokens = sorted({token for token in found if token is not None})
    place = {token: n for n, token in enumerate(tokens)}
    return tokens, np.array([-1 if token is None else place[token] for token in found], np.int64)[which]


@lru_cache(maxsize=_MOST_REMEMBERED)
def _token(system: str, code: str) -> str | None:
    try:
        return normalise_code(system, code)
    except ValueError:
        return None
