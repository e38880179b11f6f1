"""Which maps codes went through before a vocabulary was counted: `code_maps` of a manifest, oldest first.

Mapped diagnoses state it, and so do the vocabulary, the checkpoints and the model that come of them. Where no
map was applied the key is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas.code_maps import CLUSTER, FIRST, KEEP
from schemas.errors import ContractError

CODE_MAPS = "code_maps"

GEM = "gem"
CATEGORIES = "three"
TABLE = "table"

_SEVERAL_TARGETS = {
    KEEP: "stayed as it was",
    FIRST: "became the first",
    CLUSTER: "became the first cluster of them",
}


@dataclass(frozen=True)
class AppliedMap:
    """One map.

    kind: a General Equivalence Mapping (gem), to categories (three), or a table of two columns (table).
    from_system, to_system: of the codes; null for categories, and to_system where a table's codes name it.
    one_to_many: a key of schemas.code_maps.POLICIES. fingerprint: SHA-256 of the map's entries. Both are null
    for categories.
    """

    kind: str
    from_system: str | None = None
    to_system: str | None = None
    one_to_many: str | None = None
    fingerprint: str | None = None

    def in_words(self) -> str:
        """What became of the codes, to go on after "codes were"."""
        if self.kind == CATEGORIES:
            return "cut to their categories, the characters before the dot"
        goal = f" to {self.to_system}" if self.to_system else ""
        by = "mapped by a General Equivalence Mapping" if self.kind == GEM else "rolled up by a table"
        several = _SEVERAL_TARGETS[str(self.one_to_many)]
        return f"{by} from {self.from_system}{goal} (a code with several targets {several})"


def code_maps_details(maps: Sequence[AppliedMap]) -> dict[str, Any]:
    """What a manifest says of these maps."""
    return {CODE_MAPS: [asdict(applied) for applied in maps]} if maps else {}


def read_code_maps(details: Mapping[str, Any], where: str) -> tuple[AppliedMap, ...]:
    """The maps that a manifest states. Raises ContractError."""
    try:
        return tuple(AppliedMap(**plain) for plain in details.get(CODE_MAPS, ()))
    except TypeError as error:
        raise ContractError(
            f"{where} states no usable {CODE_MAPS}",
            "a manifest's code_maps are those of schemas.applied_maps",
            "write the folder again",
        ) from error


def maps_in_words(maps: Sequence[AppliedMap]) -> str:
    """What became of the codes, to go on after "codes were"."""
    return ", then ".join(applied.in_words() for applied in maps)


def of_both(first: Sequence[AppliedMap], second: Sequence[AppliedMap]) -> tuple[AppliedMap, ...]:
    """Of codes from two places: each map once, those of the first before those of the second."""
    return tuple(dict.fromkeys((*first, *second)))
