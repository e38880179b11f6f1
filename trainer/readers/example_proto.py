"""`tf.train.Example` from its wire format, for int64 features, all records at once.

Example{features=1} → Features{feature=1, a map} → entry{key=1, value=2} → Feature{int64_list=3} →
Int64List{value=1, packed}. Every writer of Examples gives this form (keys in any order); another one is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.core.input.ragged import offsets_of, ranges

# A tag is the field's number and 2, the wire type of what has a length.
_FIELD_1, _FIELD_2, _FIELD_3 = 0x0A, 0x12, 0x1A
_MAX_LENGTH_BYTES = 5  # of a message: below 2**35
_MAX_VALUE_BYTES = 5  # of a value: below 2**35, and so not negative


class MalformedExample(ValueError):
    """The records are not Examples of int64 lists."""


def parse_int64_lists(
    data: bytes, starts: np.ndarray, stops: np.ndarray, names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The named features of the records data[starts[i]:stops[i]]; other features are ignored.

    Result: name → values (N,) int32 and offsets (P + 1,) int64. Raises MalformedExample.
    """
    buffer = np.frombuffer(data, np.uint8)
    spans = _feature_spans(buffer, starts, stops, names)
    return {name: _decode(buffer, *spans[name]) for name in names}


def _feature_spans(
    buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray, names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name → where each record's packed values start and stop."""
    spans = {name: (np.full(len(starts), -1), np.full(len(starts), -1)) for name in names}
    cursors, ends = _enter(buffer, starts, stops, _FIELD_1)
    _require(np.array_equal(ends, stops), "a record holds more than features")
    records = np.arange(len(starts))
    while len(records):
        entry, entry_ends = _enter(buffer, cursors, ends, _FIELD_1)
        key, key_ends = _enter(buffer, entry, entry_ends, _FIELD_1)
        value, value_ends = _enter(buffer, key_ends, entry_ends, _FIELD_2)
        _require(np.array_equal(value_ends, entry_ends), "a feature holds more than a name and a value")
        for name in names:
            found = _equals(buffer, key, key_ends, name.encode())
            if found.any():
                span_starts, span_stops = spans[name]
                _require((span_starts[records[found]] < 0).all(), f"a record has {name} twice")
                span_starts[records[found]], span_stops[records[found]] = _packed(
                    buffer, value[found], value_ends[found]
                )
        left = entry_ends < ends
        records, cursors, ends = records[left], entry_ends[left], ends[left]
    for name in names:
        _require((spans[name][0] >= 0).all(), f"a record has no {name}")
    return spans


def _enter(
    buffer: np.ndarray, cursors: np.ndarray, ends: np.ndarray, tag: int
) -> tuple[np.ndarray, np.ndarray]:
    """Step into the sub-message with that tag at each cursor: where it starts and stops."""
    _require(bool((cursors < ends).all()), "a message ends early")
    _require(bool((buffer[cursors] == tag).all()), "a field is not where it belongs")
    cursors = cursors + 1
    lengths = np.zeros(len(cursors), np.int64)
    more = np.ones(len(cursors), bool)
    for byte_number in range(_MAX_LENGTH_BYTES):
        _require(bool((cursors[more] < ends[more]).all()), "a message ends early")
        byte = buffer[np.where(more, cursors, 0)]
        lengths |= np.where(more, (byte & 0x7F).astype(np.int64) << (7 * byte_number), 0)
        cursors = cursors + more
        more = more & (byte >= 0x80)
        if not more.any():
            break
    _require(not more.any(), "a length is too large")
    stops = cursors + lengths
    _require(bool((stops <= ends).all()), "a message is longer than what holds it")
    return cursors, stops


def _packed(buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Feature → its int64 list → the packed values; no values where a list is empty."""
    starts, list_stops = _enter(buffer, starts, stops, _FIELD_3)
    _require(np.array_equal(list_stops, stops), "a feature holds more than one list")
    filled = starts < stops
    starts = starts.copy()
    starts[filled], value_stops = _enter(buffer, starts[filled], stops[filled], _FIELD_1)
    _require(np.array_equal(value_stops, stops[filled]), "a list is not packed")
    return starts, stops


def _equals(buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray, text: bytes) -> np.ndarray:
    """(P,) bool: which of the spans hold that text."""
    equal = stops - starts == len(text)
    for place, byte in enumerate(text):
        equal[equal] = buffer[starts[equal] + place] == byte
    return equal


def _decode(buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Varints of the spans → values (N,) int32 and offsets (P + 1,): seven bits a byte, low ones first."""
    lengths = stops - starts
    encoded = buffer[ranges(starts, lengths)]
    is_last = encoded < 0x80
    byte_offsets = offsets_of(lengths)
    filled = lengths > 0
    _require(bool(is_last[byte_offsets[1:][filled] - 1].all()), "a value ends early")
    offsets = np.concatenate([[0], np.cumsum(is_last)])[byte_offsets]
    value_stops = np.flatnonzero(is_last) + 1
    value_starts = np.concatenate([[0], value_stops[:-1]]) if len(value_stops) else value_stops
    value_bytes = value_stops - value_starts
    values = (encoded[value_starts] & 0x7F).astype(np.int64)
    longest = int(value_bytes.max(initial=0))
    _require(longest <= _MAX_VALUE_BYTES, "a value is too large")
    for byte_number in range(1, longest):
        longer = np.flatnonzero(value_bytes > byte_number)
        values[longer] |= (encoded[value_starts[longer] + byte_number] & 0x7F).astype(np.int64) << (
            7 * byte_number
        )
    _require(not len(values) or int(values.max()) < 2**31, "a value is too large")
    return values.astype(np.int32), offsets


def _require(condition: bool | np.bool_, rule: str) -> None:
    if not condition:
        raise MalformedExample(rule)
