"""What every check of a release gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS


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


def in_words(patients: int | None) -> str:
    """A number of patients as schemas.small_cells.publishable gives it."""
    return f"fewer than {SMALL_CELL_MIN_PATIENTS}" if patients is None else f"{patients:,}"
