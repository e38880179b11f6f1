"""Who is nearest to a code in its classification: those below it, its parent and siblings, and on up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from schemas.codes import SEPARATOR
from schemas.icd_chapters import OTHER, category_of, chapter_of

BELOW = "codes below it"
PARENT_AND_SIBLINGS = "parent and siblings"
CATEGORY = "further codes of the category"
CHAPTER = "codes of the chapter"
SYSTEM = "codes of the system"
ALL = "all codes"
LEVELS = (BELOW, PARENT_AND_SIBLINGS, CATEGORY, CHAPTER, SYSTEM, ALL)


class Relatives:
    """Known codes by what they share: the beginning of the code, the chapter, the system."""

    def __init__(self, known: Mapping[str, int]) -> None:
        """known: token → id, special tokens left out."""
        self._by_beginning: defaultdict[str, list[int]] = defaultdict(list)
        self._by_chapter: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._by_system: defaultdict[str, list[int]] = defaultdict(list)
        self._all = list(known.values())
        for token, token_id in known.items():
            for beginning in _beginnings(token):
                self._by_beginning[beginning].append(token_id)
            self._by_chapter[_system(token), chapter_of(token)].append(token_id)
            self._by_system[_system(token)].append(token_id)

    def nearest(self, token: str) -> tuple[str, Sequence[int]]:
        """One of LEVELS, and the ids of the nearest relatives; of an ICD code at best those below it."""
        beginnings = _beginnings(token)
        for step, beginning in enumerate(beginnings):
            if found := self._by_beginning.get(beginning):
                return (BELOW, PARENT_AND_SIBLINGS)[step] if step < 2 else CATEGORY, found
        chapter = chapter_of(token)
        if chapter != OTHER and (found := self._by_chapter.get((_system(token), chapter))):
            return CHAPTER, found
        if found := self._by_system.get(_system(token)):
            return SYSTEM, found
        return ALL, self._all


def _system(token: str) -> str:
    return token.partition(SEPARATOR)[0]


def _beginnings(token: str) -> list[str]:
    """The code itself, then shorter and shorter to its category; nothing for what is no ICD code."""
    category = category_of(token)
    if category is None:
        return []
    shortest = len(_system(token)) + len(SEPARATOR) + len(category)
    beginnings = [token[:end] for end in range(len(token), shortest - 1, -1)]
    return [beginning for beginning in beginnings if not beginning.endswith(".")]
