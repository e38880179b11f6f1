"""One step's patients in a flat array of slots, without the padding that the blocks have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.core.batch import MaskedBatch
from trainer.core.layout import parts_of
from trainer.core.packing import Rows, pack
from trainer.core.ragged import offsets_of, ranges

HIDDEN_SLOT = -10_000.0
"""Added to the attention score of a slot that is not to be seen: e to this power is 0."""
_MASKED_MULTIPLE = 64
"""Masked slots are filled up to a multiple of this, so that steps have few different shapes."""


class SlotArrays(NamedTuple):
    """N slots, some of them empty, and P patients. Whole numbers."""

    input_ids: np.ndarray
    """(N,)"""
    visit_numbers: np.ndarray
    """(N,)"""
    positions: np.ndarray
    """(N,): from 0 in each patient"""
    patients: np.ndarray
    """(N,): 0 to P - 1; P in empty slots"""
    first_slots: np.ndarray
    """(P,): each patient's first"""
    masked_slots: np.ndarray
    """(M,)"""
    masked_labels: np.ndarray
    """(M,): the codes that stood there; -1 in those that fill up M"""
    prolonged_los: np.ndarray
    """(P,)"""


@dataclass(frozen=True)
class Part:
    """Patients of a step that are in the network together."""

    slots: SlotArrays
    rows: tuple[Rows, ...]


class StepBlocks(list[MaskedBatch]):
    """One step's blocks, packed once, where the step is made: not where the device would wait for it."""

    def __init__(self, blocks: Sequence[MaskedBatch], max_slots: int) -> None:
        super().__init__(blocks)
        self.max_slots = max_slots
        self.parts = _pack_parts(blocks, max_slots)

    @property
    def num_slots(self) -> int:
        """Slots that the network computes, empty ones included."""
        return sum(len(part.slots.input_ids) for part in self.parts if part)


def packed_parts(blocks: Sequence[MaskedBatch], max_slots: int) -> list[Part | None]:
    """One or more; None for a part without patients."""
    if isinstance(blocks, StepBlocks) and blocks.max_slots == max_slots:
        return blocks.parts
    return _pack_parts(blocks, max_slots)


def _pack_parts(blocks: Sequence[MaskedBatch], max_slots: int) -> list[Part | None]:
    parts = [[block for block in part if len(block.lengths)] for part in parts_of(blocks, max_slots) or [[]]]
    return [Part(*packed_slots(part)) if part else None for part in parts]


def packed_slots(blocks: Sequence[MaskedBatch]) -> tuple[SlotArrays, tuple[Rows, ...]]:
    """Patients of all blocks, several to a row; and the rows. At least one patient."""
    real = [real_slots(block) for block in blocks]
    lengths = np.concatenate([block.sum(axis=1) for block in real])
    offsets = offsets_of(lengths)
    packing = pack(lengths)
    target = ranges(packing.starts, lengths)

    def spread(values: Iterator[np.ndarray] | np.ndarray, empty: int) -> np.ndarray:
        """Values of the codes → of the slots."""
        found = np.full(packing.num_slots, empty, np.int64)
        found[target] = values if isinstance(values, np.ndarray) else np.concatenate(list(values))
        return found

    masked_codes, codes_before = [], 0
    for block, is_code in zip(blocks, real, strict=True):
        code_numbers = np.cumsum(is_code.ravel()) - 1 + codes_before
        masked_codes.append(code_numbers[block.masked_positions])
        codes_before = code_numbers[-1] + 1
    masked_slots = target[np.concatenate(masked_codes)]
    fill = (0, -len(masked_slots) % _MASKED_MULTIPLE)
    labels = np.concatenate([block.masked_labels for block in blocks])
    arrays = SlotArrays(
        spread((block.input_ids[is_code] for block, is_code in zip(blocks, real, strict=True)), 0),
        spread((block.visit_numbers[is_code] for block, is_code in zip(blocks, real, strict=True)), 0),
        spread(np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths), 0),
        spread(np.repeat(np.arange(len(lengths)), lengths), len(lengths)),
        packing.starts,
        np.pad(masked_slots, fill),
        np.pad(labels, fill, constant_values=-1),
        np.concatenate([block.prolonged_los for block in blocks]),
    )
    return arrays, packing.rows


def slots_of_block(block: MaskedBatch) -> SlotArrays:
    """A block as it stands, empty slots included: one patient a row."""
    patients, length = block.input_ids.shape
    return SlotArrays(
        block.input_ids.ravel(),
        block.visit_numbers.ravel(),
        np.tile(np.arange(length), patients),
        np.where(real_slots(block), np.arange(patients)[:, None], patients).ravel(),
        np.arange(patients) * length,
        block.masked_positions,
        block.masked_labels,
        block.prolonged_los,
    )


def real_slots(block: MaskedBatch) -> np.ndarray:
    """(B, T) bool: slots that hold a code; a patient without any has its first slot."""
    return np.arange(block.input_ids.shape[1]) < np.maximum(block.lengths, 1)[:, None]
