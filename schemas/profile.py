"""`profile/`: what a stage's folder holds, in aggregates that may be shown: `profile.json` and the manifest.

Invariants: no patient id, no date finer than a month, no raw value. A count that 1 to 10 patients stand
behind is null, and every other count in a cell is rounded to tens (schemas.small_cells), so that none can be
found by subtraction. The number of rows in all is exact: the profiled folder's own manifest states it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from schemas.errors import ContractError
from schemas.manifest import Manifest, read_manifest, read_small

KIND = "profile"
PROFILE_FILE = "profile.json"
FORMAT = 1
STAGES = ("claims", "diagnoses", "vocabulary", "sequences", "shards")

# Lower ends of the bins of a stay's length in days; the last has no upper end.
LOS_BINS = (0, 1, 2, 3, 4, 5, 6, 8, 15, 31, 91)


@dataclass(frozen=True)
class Month:
    """One calendar month of discharges. rows: in all; systems: code system → rows. None: too few patients."""

    rows: int | None
    systems: Mapping[str, int | None]


@dataclass(frozen=True)
class Code:
    """One code that enough patients have."""

    token: str
    patients: int
    rows: int


@dataclass(frozen=True)
class Histogram:
    """Patients by a number that each has. edges: (N + 1,) ascending, a bin goes up to the next edge less 1.

    patients: (N,); mean, median and p95 are of all patients.
    """

    edges: tuple[int, ...]
    patients: tuple[int, ...]
    mean: float
    median: int
    p95: int


@dataclass(frozen=True)
class Rejects:
    """The rows that one rule set aside. rows: None for 1 to 10.

    shapes: the columns in question, each with a shape that it had, the commonest first: X or x for a letter,
    9 for a digit.
    """

    rows: int | None
    shapes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Profile:
    """All that a profile says; what a stage does not have is None or empty.

    stage: kind of the folder. rows: diagnoses in it, each code of a claim, visit or patient being one; for a
    vocabulary, those of the training split; 0 for 1 to 10. rows, patients, visits: to tens. num_codes:
    different codes, rare ones among them. months: `YYYY-MM` → its rows; a month without any is absent. codes:
    the commonest, by rows. los: visits by LOS_BINS. rejected: rule → what it set aside.
    """

    stage: str
    rows: int
    patients: int | None = None
    visits: int | None = None
    num_codes: int = 0
    months: Mapping[str, Month] = field(default_factory=dict)
    systems: Mapping[str, int | None] = field(default_factory=dict)
    codes: tuple[Code, ...] = ()
    visits_per_patient: Histogram | None = None
    codes_per_patient: Histogram | None = None
    los: tuple[int | None, ...] = ()
    rejected: Mapping[str, Rejects] = field(default_factory=dict)

    def to_json(self) -> str:
        """The same profile gives the same bytes."""
        plain = {"format": FORMAT} | asdict(self)
        plain["codes"] = [[code.token, code.patients, code.rows] for code in self.codes]
        return json.dumps(plain, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: str | bytes, where: str) -> Profile:
        """Raises ContractError when it is not what `to_json` writes."""
        try:
            plain = json.loads(content)
            if plain.pop("format") != FORMAT:
                raise ValueError("another format")
            plain["months"] = {name: Month(**month) for name, month in sorted(plain["months"].items())}
            plain["codes"] = tuple(Code(*code) for code in plain["codes"])
            for name in ("visits_per_patient", "codes_per_patient"):
                plain[name] = _histogram(plain[name])
            plain["los"] = tuple(plain["los"])
            plain["rejected"] = {
                reason: Rejects(found["rows"], tuple((column, shape) for column, shape in found["shapes"]))
                for reason, found in plain["rejected"].items()
            }
            return cls(**plain)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ContractError(
                f"{where}/{PROFILE_FILE} cannot be read ({type(error).__name__})",
                f"a profile has format {FORMAT} of this release",
                "profile the stage again (make profile)",
            ) from error


def same_profile(uri: str) -> ContractError:
    """The error for a profile that would be compared with itself, which always passes."""
    return ContractError(
        f"the reference, {uri}, is the folder that this profile itself is written to",
        "a profile is compared with another one, made before",
        "copy the older profile to a folder of its own before the stage is profiled again, and give that as "
        "the reference",
    )


def _histogram(plain: dict | None) -> Histogram | None:
    if plain is None:
        return None
    return Histogram(**plain | {"edges": tuple(plain["edges"]), "patients": tuple(plain["patients"])})


def read_profile(uri: str) -> tuple[Profile, Manifest]:
    """A profile's folder. Raises ContractError for one that is unfinished, damaged, or of another kind."""
    manifest = read_manifest(uri, KIND)
    return Profile.from_json(read_small(uri, manifest, PROFILE_FILE), uri), manifest
