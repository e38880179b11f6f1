"""Which paths and URIs may be given: one rule for every program, and for the Makefile.

A path is that path, whatever signs are in it, but for those that the tools below read in ways of their own:
Spark's and fsspec's file systems disagree on `:` and on `~`, and stores take `*`, `?` and brackets for
patterns. Such a path is refused before anything is read or written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from schemas.errors import ContractError

LOCATION_OPTIONS = frozenset(
    (
        *("bert_config", "checkpoint", "columns", "config", "diagnoses", "disease_model", "embeddings"),
        *("export_types", "extend", "init_checkpoint", "input", "inputs", "map", "metrics", "model", "onnx"),
        *("output", "outputs", "patients", "profile", "reference", "rejected", "roll_up", "run", "sequences"),
        *("shards", "shards_if_there", "types", "vocabulary"),
    )
)
"""The names of all options that are paths or URIs, in whatever program."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATTERN = re.compile(r"[*?\[\]{}\\]")


def check_location(name: str, location: str) -> None:
    """Refuse a path or URI that not all tools read alike. name: the option's. Raises ContractError."""
    if wrong := _fault(location):
        found, rule, remedy = wrong
        raise ContractError(f"{name} is {location!r}, which {found}", rule, remedy)


def check_locations(options: Any) -> None:
    """`check_location` for every option of a dataclass that is one, nested ones too. Raises ContractError."""
    for name, location in _locations(options, ""):
        check_location(f"--{name}", location)


def _locations(options: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            yield from _locations(value, f"{prefix}{field.name}.")
        elif field.name in LOCATION_OPTIONS and isinstance(value, str):
            yield f"{prefix}{field.name}", value


def _fault(location: str) -> tuple[str, str, str] | None:
    """What is wrong, the rule and the remedy."""
    rename = "rename the folder, or give another"
    if not location.strip() or location != location.strip():
        return "is empty, or begins or ends with a space", "a path has a sign at both its ends", rename
    if _CONTROL.search(location):
        return "has a line break, a tab or another control character", "a path is one line of text", rename
    if location.startswith("~"):
        return "begins with ~", "only a shell knows whose folder that is", "write $HOME, or ./~ for a name"
    authority, scheme = _AUTHORITY.match(location), _SCHEME.match(location)
    path = location[authority.end() if authority else scheme.end() - 1 if scheme else 0 :]
    if ":" in path:
        return (
            "has a colon",
            "the only colon is that of a URI's beginning, e.g. s3://bucket/run, as Hadoop knows no other",
            rename,
        )
    if authority and not location.startswith("file:") and (sign := _PATTERN.search(path)):
        return f"has the sign {sign[0]}", "in a store's URI it would stand for other names too", rename
    return None
