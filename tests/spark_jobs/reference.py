"""What the Spark jobs do, said again in slow, plain Python from the contracts alone."""

from __future__ import annotations

import datetime
import string
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field

MASK = 2**64 - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip


def xxh64(data: bytes, seed: int = 42) -> int:
    """XXH64 (Collet's specification), as a signed number like Spark's."""

    def rotate(x: int, bits: int) -> int:
        return ((x << bits) | (x >> (64 - bits))) & MASK

    def round_(accumulator: int, lane: int) -> int:
        return rotate((accumulator + lane * P2) & MASK, 31) * P1 & MASK

    at, length = 0, len(data)
    if length >= 32:
        lanes = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        while at <= length - 32:
            for i in range(4):
                lanes[i] = round_(lanes[i], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        result = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            result = ((result ^ round_(0, lane)) * P1 + P4) & MASK
    else:
        result = (seed + P5) & MASK
    result = (result + length) & MASK
    while at + 8 <= length:
        result ^= round_(0, int.from_bytes(data[at : at + 8], "little"))
        result, at = (rotate(result, 27) * P1 + P4) & MASK, at + 8
    if at + 4 <= length:
        result ^= int.from_bytes(data[at : at + 4], "little") * P1 & MASK
        result, at = (rotate(result, 23) * P2 + P3) & MASK, at + 4
    for byte in data[at:]:
        result = rotate(result ^ (byte * P5 & MASK), 11) * P1 & MASK
    result = (result ^ (result >> 33)) * P2 & MASK
    result = (result ^ (result >> 29)) * P3 & MASK
    result ^= result >> 32
    return result - 2**64 if result >= 2**63 else result


def split_of(salt: str, patient_id: str) -> str:
    place = xxh64(f"{salt}/{patient_id}".encode()) % 10
    return "train" if place < 7 else "valid" if place < 8 else "test"


def normalised_code(system: str, raw: str) -> str | None:
    """The token, or None for a code that has not its system's form."""
    trimmed = raw.strip()
    if trimmed.lower() in ("", "nan", "none", "null", "na", "<na>", "nat", "\\n"):
        return None
    if system not in ("ICD9CM", "ICD10CM"):
        # Neither a control character nor a line or paragraph separator.
        token = f"{system}//{trimmed}"
        breaks_lines = any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in token)
        return None if breaks_lines else token
    written = trimmed.upper()
    code = written.replace(".", "")
    digits, capitals = set(string.digits), set(string.ascii_uppercase)
    category = 3
    if system == "ICD10CM":
        allowed = [capitals, digits, *[digits | capitals] * 5]
    elif code[:1] == "E":
        category = 4
        allowed = [{"E"}, *[digits] * 4]
        if not (code[1:4] <= "030" or code[1:4] >= "800"):
            return None
    else:
        allowed = [digits | {"V"}, *[digits] * 4]
    if not category <= len(code) <= len(allowed):
        return None
    if any(character not in may for character, may in zip(code, allowed, strict=False)):
        return None
    if written not in (code, f"{code[:category]}.{code[category:]}", f"{code}."):
        return None
    rest = code[category:]
    if system == "ICD10CM" and set(rest) == {"X"}:
        rest = ""
    return f"{system}//{code[:category]}" + (f".{rest}" if rest else "")


@dataclass(frozen=True)
class Diagnosis:
    patient_id: str
    admit: datetime.date
    discharge: datetime.date
    code: str
    order: tuple[int | None, int | None, int | None] = (None, None, None)
    visit_id: str | None = None


@dataclass
class Sequence:
    """One patient; fields as in schemas.sequences."""

    codes: list[str] = field(default_factory=list)
    visit_numbers: list[int] = field(default_factory=list)
    admits: list[datetime.date] = field(default_factory=list)
    discharges: list[datetime.date] = field(default_factory=list)

    @property
    def los_days(self) -> list[int]:
        return [(d - a).days for a, d in zip(self.admits, self.discharges, strict=True)]

    @property
    def days_to_next_visit(self) -> list[int]:
        following = [(a - d).days for a, d in zip(self.admits[1:], self.discharges, strict=False)]
        return [*following, 0] if self.admits else []

    @property
    def prolonged_los(self) -> bool:
        return any(days > 7 for days in self.los_days)


def sequences_of(
    diagnoses: list[Diagnosis],
    vocabulary: set[str] | None = None,
    unk: str | None = "[UNK]",
    visits: str = "discharge_date",
) -> dict[str, Sequence]:
    """Patient → sequence. vocabulary: codes with an id (all if None). unk: the token for others."""
    found: dict[str, Sequence] = defaultdict(Sequence)

    def is_known(code: str) -> bool:
        return vocabulary is None or code in vocabulary

    def place(row: Diagnosis):
        order = tuple(float("inf") if number is None else number for number in row.order)
        return order, (0, row.code) if is_known(row.code) else (1, "")

    rows = [row for row in diagnoses if unk is not None or is_known(row.code)]
    for patient_id in {row.patient_id for row in rows}:
        patient = found[patient_id]
        grouped = visits_of([row for row in rows if row.patient_id == patient_id], visits)
        for number, visit in enumerate(grouped, 1):
            patient.admits.append(min(row.admit for row in visit))
            patient.discharges.append(max(row.discharge for row in visit))
            tokens = [row.code if is_known(row.code) else unk for row in sorted(visit, key=place)]
            once = list(dict.fromkeys(tokens))
            patient.codes += once
            patient.visit_numbers += [number] * len(once)
    return dict(found)


def visits_of(rows: list[Diagnosis], rule: str) -> list[list[Diagnosis]]:
    """One patient's visits in their order."""
    groups: list[list[Diagnosis]] = []
    for row in rows:
        mine = [group for group in groups if any(are_one_visit(row, other, rule) for other in group)]
        groups = [group for group in groups if group not in mine]
        groups.append([row, *(other for group in mine for other in group)])

    def place(visit: list[Diagnosis]):
        ids = [row.visit_id or "" for row in visit]
        return max(row.discharge for row in visit), min(row.admit for row in visit), min(ids)

    return sorted(groups, key=place)


def are_one_visit(row: Diagnosis, other: Diagnosis, rule: str) -> bool:
    if rule == "visit_id" and (row.visit_id or other.visit_id):
        return row.visit_id == other.visit_id
    if rule == "overlap":
        return row.admit <= other.discharge and other.admit <= row.discharge
    return row.discharge == other.discharge


def stays_merged(rows: list[Diagnosis], rule: str) -> int:
    """One patient's stays, apart in their dates, that are one visit with another."""
    return sum(len({(row.admit, row.discharge) for row in visit}) - 1 for visit in visits_of(rows, rule))
