"""`pretrain/learned_codes.json`: what the newest evaluation shows of single codes, in aggregates alone.

Small-cell rule (schemas.small_cells): only codes are named that 11 patients or more have, of those training
patients from whom the most frequent codes are counted too; a confusion of fewer than 11 patients is left out,
and all numbers of patients are rounded to tens.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.small_files import read_small_file

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
    def from_json(cls, text: str) -> LearnedCodes:
        plain = json.loads(text)
        return cls(
            plain["step"],
            tuple(Confusion(**confusion) for confusion in plain["confusions"]),
            tuple(
                Neighbourhood(found["code"], tuple(Neighbour(**near) for near in found["neighbours"]))
                for found in plain["neighbourhoods"]
            ),
        )


def read_learned_codes(run_uri: str) -> LearnedCodes | None:
    """What a pretraining folder holds; None where nothing was evaluated. Raises ContractError."""
    try:
        content = read_small_file(join(run_uri, LEARNED_CODES_FILE))
    except FileNotFoundError:
        return None
    try:
        return LearnedCodes.from_json(content.decode())
    except (ValueError, KeyError, TypeError) as error:
        raise ContractError(
            f"{join(run_uri, LEARNED_CODES_FILE)} cannot be read ({type(error).__name__})",
            "it is the JSON object that the newest evaluation wrote",
            "remove it: the next evaluation writes it again, and a report does without it until then",
        ) from error
