"""What every check of a release gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One check. found: numbers for the report; in_words: one line for people."""

    name: str
    passed: bool
    in_words: str
    found: Mapping[str, Any]
