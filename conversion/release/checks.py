"""What every check of a release gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One check, all of it given away.

    found: numbers for the report. in_words: one line for people, of what was compared and nothing else.
    not_compared: what a reader might think was compared, each a few words.
    """

    name: str
    passed: bool
    in_words: str
    found: Mapping[str, Any]
    not_compared: list[str] = field(default_factory=list)
