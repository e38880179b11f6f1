"""Which values a manifest has, as JSON types: what its readers may rely on.

A form is a type (`int` is no bool), a union, `list[form]`, `dict[str, form]`, or a mapping of key → form for
an object of which these keys matter. Further keys are allowed: what nobody reads is nobody's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_origin

Form = Any


@dataclass(frozen=True)
class OptionalKey:
    """Of a key that may be absent; where it is there, its value has the form."""

    form: Form


HEAD: Mapping[str, Form] = {
    "fingerprint": str,
    "kind": str,
    "version": int,
    "created_by": str,
    "parameters": dict[str, Any],
    "inputs": dict[str, str],
    "files": list,
    "counts": dict[str, Any],
}
"""What every manifest has."""
FILE: Mapping[str, Form] = {"path": str, "rows": int, "bytes": int, "sha256": str}
PARTS = ("parameters", "inputs", "counts")

_SPECIAL_TOKENS = {"pad": int, "unk": int | None, "cls": int | None, "mask": int}
_CODE_MAPS = OptionalKey(list[dict[str, str | None]])
_BATCH = {"input_files": list[str], "num_partitions": OptionalKey(int)}
_LAYOUT = {"partitioned_by": str, "num_partitions": int, "sorted_by": list[str]}

DETAILS: Mapping[str, Mapping[str, Mapping[str, Form]]] = {
    "claims": {"counts": {"diagnoses": OptionalKey(int)}},
    "diagnoses": {
        "counts": {"rejected": OptionalKey(dict[str, int])},
        "details": {
            "layout": OptionalKey(_LAYOUT),
            "batches": OptionalKey([_BATCH]),
            "earlier": OptionalKey(list[str | None]),
            "code_maps": _CODE_MAPS,
        },
    },
    "diagnoses_rejected": {"counts": {"rejected": OptionalKey(dict[str, int])}},
    "vocabulary": {
        "parameters": {"split_salt": OptionalKey(str)},
        "details": {
            "special_tokens": OptionalKey(_SPECIAL_TOKENS),
            "min_patients": OptionalKey(int | None),
            "extends": OptionalKey([{"fingerprint": str, "size": int}]),
            "code_maps": _CODE_MAPS,
        },
    },
    "sequences": {
        "parameters": {
            "min_codes": OptionalKey(int),
            "visits": OptionalKey(str),
            "num_partitions": OptionalKey(int | None),
        },
        "counts": {"patients": OptionalKey(dict[str, int])},
    },
    "shards": {
        "details": {
            "vocabulary_fingerprint": str,
            "vocabulary_size": int,
            "special_tokens": _SPECIAL_TOKENS,
            "num_codes": int,
            "max_visits": int,
            "length_histogram": dict[int, int],
        }
    },
    "checkpoint": {
        "details": {
            "step": int,
            "backend": str,
            "vocabulary_fingerprint": str,
            "special_tokens": OptionalKey(_SPECIAL_TOKENS),
            "max_seq_length": OptionalKey(int),
            "code_maps": _CODE_MAPS,
        }
    },
    "model": {
        "details": {
            "special_tokens": OptionalKey(_SPECIAL_TOKENS),
            "step": OptionalKey(int | None),
            "code_maps": _CODE_MAPS,
        }
    },
    "onnx_model": {"inputs": {"model": str}},
    "embeddings": {
        "parameters": {"pooling": str},
        "counts": {"patients": int},
        "details": {"hidden_size": int},
    },
}
"""Kind → part of its manifest → forms. `details`: the kind's further top-level keys.

A key that not every reader needs may be absent: the reader that needs it says so.
"""


def misfit(value: Any, form: Form, name: str = "", *, exact: bool = False) -> str:
    """What of a value does not have a form, in words; "" where all has.

    exact: the object has no other keys.
    """
    what = name or "it"
    if isinstance(form, Mapping):
        if not isinstance(value, dict):
            return f"{what} is no object"
        if exact and (further := sorted(value.keys() - form.keys())):
            return f"there is {further[0][:40]!r}"
        return next(filter(None, (_misfit_of_key(value, key, of, name) for key, of in form.items())), "")
    if isinstance(form, list):
        (of_each,) = form
        if not isinstance(value, list):
            return f"{what} is no list"
        return next(filter(None, (misfit(each, of_each, name) for each in value)), "")
    if _fits(value, form):
        return ""
    if type(value) is get_origin(form):
        return f"in {what} {_inner_misfit(value, form)}"
    return f"{what} is {_shown(value)}, not {_in_words(form)}"


def _inner_misfit(values: list[Any] | dict[str, Any], form: Form) -> str:
    *of_keys, of_value = get_args(form)
    if int in of_keys and not all(map(_is_number, values)):
        return "a key is no whole number"
    inner = values.values() if isinstance(values, dict) else values
    return misfit(next(value for value in inner if not _fits(value, of_value)), of_value, "a value")


def _misfit_of_key(value: dict[str, Any], key: str, form: Form, name: str) -> str:
    path = f"{name}.{key}" if name else key
    if isinstance(form, OptionalKey):
        return misfit(value[key], form.form, path) if key in value else ""
    return misfit(value[key], form, path) if key in value else f"there is no {path}"


def _fits(value: Any, form: Form) -> bool:
    if form is Any:
        return True
    arguments = get_args(form)
    if isinstance(form, UnionType):
        return any(_fits(value, one) for one in arguments)
    kind = get_origin(form) or form
    if kind is type(None):
        return value is None
    if type(value) is not kind:
        return False
    if kind is list and arguments:
        return all(_fits(each, arguments[0]) for each in value)
    if kind is dict and arguments:
        of_key, of_value = arguments
        keys_fit = of_key is not int or all(map(_is_number, value))
        return keys_fit and all(_fits(each, of_value) for each in value.values())
    return True


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit()


_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _in_words(form: Form) -> str:
    if isinstance(form, UnionType):
        return " or ".join(map(_in_words, get_args(form)))
    return _WORDS[get_origin(form) or form]


def _shown(value: Any) -> str:
    """Not what a list or object holds: it may be long."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return "null" if value is None else repr(value)[:40]
