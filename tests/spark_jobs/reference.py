"""What the Spark jobs do, said again in slow, plain Python from the contracts alone."""

from __future__ import annotations

import datetime
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


@dataclass(frozen=True)
class Diagnosis:
    patient_id: str
    admit: datetime.date
    discharge: datetime.date
    code: str
    order: tuple[int | None, int | None, int | None] = (None, None, None)


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
    diagnoses: list[Diagnosis], vocabulary: set[str] | None = None, unk: str | None = "[UNK]"
) -> dict[str, Sequence]:
    """Patient → sequence. vocabulary: codes with an id (all if None). unk: the token for others."""
    found: dict[str, Sequence] = defaultdict(Sequence)
    infinite = float("inf")

    def is_known(code: str) -> bool:
        return vocabulary is None or code in vocabulary

    def place(row: Diagnosis):
        order = tuple(infinite if number is None else number for number in row.order)
        return row.patient_id, row.discharge, order, (0, row.code) if is_known(row.code) else (1, "")

    for row in sorted(diagnoses, key=place):
        token = row.code if is_known(row.code) else unk
        if token is None:
            continue
        patient = found[row.patient_id]
        if not patient.discharges or patient.discharges[-1] != row.discharge:
            patient.discharges.append(row.discharge)
            patient.admits.append(row.admit)
        patient.admits[-1] = min(patient.admits[-1], row.admit)
        number = len(patient.discharges)
        if (token, number) not in zip(patient.codes, patient.visit_numbers, strict=True):
            patient.codes.append(token)
            patient.visit_numbers.append(number)
    return dict(found)
