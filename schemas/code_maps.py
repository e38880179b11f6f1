"""Maps from code to code: CMS's General Equivalence Mappings (GEM), and what a map says of a code.

A GEM line is a source code, a target code and five digits:

    80602 S12000A 10112        approximate, no map, combination; scenario; choice list

Several lines of a source code without the combination digit are alternatives: any one target stands for it.
With it, a target of EACH choice list of one scenario is needed, together: a cluster. Source: CMS, *Diagnosis
Code Set General Equivalence Mappings, 2018 Documentation and User's Guide*.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.codes import normalise_code
from schemas.errors import ContractError
from schemas.small_files import gunzipped

MAPPED_FOLDER = "diagnoses_mapped"  # of a run: kind diagnoses, like ingest's own

# What a map says of a code, whatever is then done about it.
EXACT = "exact"
APPROXIMATE = "approximate"
AMBIGUOUS = "ambiguous"
UNMAPPED = "unmapped"
OUTCOMES: dict[str, str] = {
    EXACT: "one target, which means the same",
    APPROXIMATE: "one target, which means nearly the same",
    AMBIGUOUS: "several targets: alternatives, or a cluster of which each is needed",
    UNMAPPED: "no target: the map says so, or lacks the code",
}

# What to do with an ambiguous code.
KEEP = "keep"
FIRST = "first"
CLUSTER = "cluster"
POLICIES: dict[str, str] = {
    KEEP: "it stays as it is",
    FIRST: "the first target",
    CLUSTER: "the first target of each choice list of the first scenario; of alternatives, the first",
}

_LINE = re.compile(
    r"([0-9A-Z]{3,7}) +([0-9A-Z]{3,7}|NoDx) +([01])([01])([01])([0-9])([0-9]) *", re.IGNORECASE
)
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Entry:
    """One target of a code. target: None for none. scenario, choice_list: 0 outside combinations."""

    target: str | None
    approximate: bool = False
    scenario: int = 0
    choice_list: int = 0


@dataclass(frozen=True)
class Mapped:
    """What a code becomes: one code or more, itself where it stays. outcome: one of OUTCOMES."""

    targets: tuple[str, ...]
    outcome: str


def parse_gem(content: bytes, from_system: str, to_system: str, where: str) -> dict[str, list[Entry]]:
    """A GEM file, plain or gzipped: `SYSTEM//CODE` → its entries, in the file's order.

    Raises ContractError, naming the line, for one that is not a GEM's or a code without its system's form.
    """
    try:
        text = gunzipped(content, where).decode("ascii")
    except (EOFError, zlib.error, UnicodeError) as error:
        raise ContractError(
            f"{where} cannot be read ({type(error).__name__})",
            "a GEM file is plain ASCII text, gzipped or not",
            "give the text file out of CMS's archive",
        ) from error
    found: dict[str, list[Entry]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            code, entry = _parse_line(line, from_system, to_system, f"{where}, line {number}")
            found.setdefault(code, []).append(entry)
    if not found:
        raise ContractError(
            f"{where} is empty", "a GEM file has a line for each pair of codes", "check the path"
        )
    return found


def _parse_line(line: str, from_system: str, to_system: str, where: str) -> tuple[str, Entry]:
    form = _LINE.fullmatch(line)
    if form is None:
        raise ContractError(
            f"{where}: {line[:40]!r} is not a line of a GEM",
            "a line is a source code, a target code (or NoDx) and five digits: approximate, no map, "
            "combination (0 or 1 each), scenario, choice list",
            "give the file as CMS ships it, e.g. 2018_I9gem.txt",
        )
    source, target, approximate, no_map, combination, scenario, choice_list = form.groups()
    try:
        code = normalise_code(from_system, source)
        goal = None if no_map == "1" else normalise_code(to_system, target)
    except ValueError as error:
        raise ContractError(
            f"{where}: {line[:40]!r}: {error}",
            f"the map goes from {from_system} to {to_system}",
            "check that it is the file of this direction, or name the systems (--from_system, --to_system)",
        ) from error
    if combination == "0":
        return code, Entry(goal, approximate == "1")
    return code, Entry(goal, approximate == "1", int(scenario), int(choice_list))


def resolve(code: str, entries: Sequence[Entry], policy: str) -> Mapped:
    """What a code with these entries becomes. policy: one of POLICIES, for a code that is ambiguous."""
    known = [entry for entry in entries if entry.target is not None]
    targets = list(dict.fromkeys(str(entry.target) for entry in known))
    if not targets:
        return Mapped((code,), UNMAPPED)
    if len(targets) == 1:
        return Mapped((targets[0],), APPROXIMATE if all(entry.approximate for entry in known) else EXACT)
    chosen = {KEEP: [code], FIRST: targets[:1], CLUSTER: _first_cluster(known)}[policy]
    return Mapped(tuple(chosen), AMBIGUOUS)


def _first_cluster(entries: Sequence[Entry]) -> list[str]:
    """The first target of each choice list of the lowest scenario; the first target where there is none."""
    combined = [entry for entry in entries if entry.choice_list] or list(entries[:1])
    scenario = min(entry.scenario for entry in combined)
    of_list: dict[int, str] = {}
    for entry in combined:
        if entry.scenario == scenario:
            of_list.setdefault(entry.choice_list, str(entry.target))
    return list(dict.fromkeys(of_list[number] for number in sorted(of_list)))
