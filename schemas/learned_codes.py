"""`pretrain/learned_codes.json`: what the newest evaluation shows of single codes, in aggregates alone.

Small-cell rule (schemas.small_cells): only codes are named that 11 patients or more have, of those training
patients from whom the most frequent codes are counted too; a confusion of fewer than 11 patients is left out,
and all numbers of patients are rounded to tens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from schemas.errors import ContractError, NotThere
from schemas.files import read_json
from schemas.manifest import join
from schemas.manifest_forms import Form, misfit

Kind = TypeVar("Kind")

LEARNED_CODES_FILE = "learned_codes.json"
MOST_CONFUSIONS = 30
MOST_CODES = 20
MOST_NEIGHBOURS = 5


@dataclass(frozen=True)
class Confusion:
    """A code that stood behind [MASK], and another one that the model thought likeliest there."""

    code: str
    predicted: str
    patients: int
    """of the valid split in whom it happened"""
    of_patients: int
    """of the valid split in whom the code stood behind [MASK]"""


@dataclass(frozen=True)
class Neighbour:
    """A code whose embedding points nearly the same way. cosine: between -1 and 1."""

    code: str
    cosine: float


@dataclass(frozen=True)
class Neighbourhood:
    """The nearest codes of one code, the nearest first."""

    code: str
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class LearnedCodes:
    """At one step: the commonest confusions first; the neighbours of the commonest codes, commonest first."""

    step: int
    confusions: tuple[Confusion, ...]
    neighbourhoods: tuple[Neighbourhood, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LearnedCodes:
        """plain: as `to_json` writes it."""
        return cls(
            plain["step"],
            tuple(_only(Confusion, confusion) for confusion in plain["confusions"]),
            tuple(
                Neighbourhood(found["code"], tuple(_only(Neighbour, near) for near in found["neighbours"]))
                for found in plain["neighbourhoods"]
            ),
        )


_RULE = "it is the JSON object that the newest evaluation wrote"
_REMEDY = "remove it: the next evaluation writes it again, and a report does without it until then"
_NEIGHBOUR = {"code": str, "cosine": float | int}
_FORM: Mapping[str, Form] = {
    "step": int,
    "confusions": [{"code": str, "predicted": str, "patients": int, "of_patients": int}],
    "neighbourhoods": [{"code": str, "neighbours": [_NEIGHBOUR]}],
}


def _only(kind: type[Kind], plain: Mapping[str, Any]) -> Kind:
    """A dataclass of those of its values that this release knows."""
    return kind(**{name: plain[name] for name in kind.__dataclass_fields__})  # type: ignore[attr-defined]


def read_learned_codes(run_uri: str) -> LearnedCodes | None:
    """What a pretraining folder holds; None where nothing was evaluated. Raises ContractError."""
    uri = join(run_uri, LEARNED_CODES_FILE)
    try:
        plain = read_json(uri, _RULE, _REMEDY)
    except NotThere:
        return None
    if wrong := misfit(plain, _FORM):
        raise ContractError(f"{uri} cannot be read: {wrong}", _RULE, _REMEDY)
    return LearnedCodes.from_plain(plain)
