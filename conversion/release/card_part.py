"""The part of a model's card that the release check writes, between marks: the next check replaces it."""

from __future__ import annotations

import re

_BEGIN, _END = "<!-- release check: begin -->", "<!-- release check: end -->"
_PART = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}\n?", re.DOTALL)


def without_part(card: str) -> str:
    """The card of a model that was not checked."""
    return _PART.sub("", card).rstrip() + "\n"


def with_part(card: str, part: str) -> str:
    """The card with this part at its end, in place of an earlier one."""
    return f"{without_part(card)}\n{_BEGIN}\n{part.strip()}\n{_END}\n"
