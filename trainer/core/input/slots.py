"""A masked batch in flat arrays of slots, as the networks compute it: little padding, a part at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.core.input.batch import MaskedBatch
from trainer.core.input.packing import Piece, Rows, pack
from trainer.core.input.ragged import ranges

HIDDEN_SLOT = -10_000.0
"""Added to the attention score of a slot that is not to be seen: e to this power is 0."""
_MASKED_MULTIPLE = 64
"""Masked slots are filled up to a multiple of this, so that steps have few different shapes."""


class SlotArrays(NamedTuple):
    """N slots, some of them empty, and P patients. All int32."""

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
class PackedPiece:
    """Patients of a batch in rows, several to a row."""

    slots: SlotArrays
    rows: tuple[Rows, ...]
    """By width; all slots are in one of them."""
    patients: np.ndarray
    """(P,) int64: which of the batch's patients they are"""
    masked: np.ndarray
    """(M without what fills up,) int64: which of the batch's masked codes"""


@dataclass(frozen=True)
class PackedBatch:
    """A batch as it goes through the network."""

    parts: tuple[tuple[PackedPiece, ...], ...]
    """Parts run one after the other, the pieces of a part side by side. None is without patients."""

    @property
    def num_slots(self) -> int:
        """Slots that the network computes, empty ones included."""
        return sum(len(piece.slots.input_ids) for part in self.parts for piece in part)


def pack_batch(batch: MaskedBatch, max_slots: int, hands: int = 1) -> PackedBatch:
    """max_slots, hands: see packing.pack."""
    packing = pack(batch.patients.lengths, max_slots, hands)
    patients = np.argsort(packing.starts)  # as their slots follow each other
    starts = packing.starts[patients]
    slots = batch.masked + np.repeat(packing.starts - batch.patients.offsets[:-1], batch.masked_each)
    masked = np.argsort(slots)
    slots = slots[masked]

    def packed(piece: Piece) -> PackedPiece:
        ours = slice(*np.searchsorted(starts, (piece.start, piece.stop)))
        hidden = slice(*np.searchsorted(slots, (piece.start, piece.stop)))
        arrays = _arrays(
            batch,
            piece.stop - piece.start,
            patients[ours],
            starts[ours] - piece.start,
            masked[hidden],
            slots[hidden] - piece.start,
        )
        return PackedPiece(arrays, piece.rows, patients[ours], masked[hidden])

    return PackedBatch(tuple(tuple(map(packed, part)) for part in packing.parts))


def _arrays(
    batch: MaskedBatch,
    num_slots: int,
    patients: np.ndarray,
    first_slots: np.ndarray,
    masked: np.ndarray,
    masked_slots: np.ndarray,
) -> SlotArrays:
    """Some patients (P,) and their masked codes (K,), which stand in these slots."""
    ragged = batch.patients
    lengths = ragged.lengths[patients]
    codes, slots = ranges(ragged.offsets[patients], lengths), ranges(first_slots, lengths)
    fill = (0, -len(masked) % _MASKED_MULTIPLE)

    def spread(values: np.ndarray, empty: int = 0) -> np.ndarray:
        """Values of the codes → of the slots."""
        found = np.full(num_slots, empty, np.int32)
        found[slots] = values
        return found

    return SlotArrays(
        input_ids=spread(batch.input_ids[codes]),
        visit_numbers=spread(ragged.visit_numbers[codes]),
        positions=spread(slots - np.repeat(first_slots, lengths)),
        patients=spread(np.repeat(np.arange(len(patients)), lengths), empty=len(patients)),
        first_slots=first_slots.astype(np.int32),
        masked_slots=np.pad(masked_slots.astype(np.int32), fill),
        masked_labels=np.pad(batch.labels[masked], fill, constant_values=-1),
        prolonged_los=ragged.prolonged_los[patients],
    )


def padded_slots(inputs: Mapping[str, np.ndarray]) -> tuple[SlotArrays, np.ndarray]:
    """The inputs of Backend.forward as they stand, one patient of T slots a row.

    Also what is added to attention's scores, (B, 1, 1, T) float32.
    """
    patients, width = inputs["input_ids"].shape
    real = np.arange(width) < np.maximum(inputs["attention_mask"].sum(axis=1), 1)[:, None]
    arrays = SlotArrays(
        input_ids=inputs["input_ids"].ravel(),
        visit_numbers=inputs["token_type_ids"].ravel(),
        positions=np.tile(np.arange(width), patients),
        patients=np.where(real, np.arange(patients)[:, None], patients).ravel(),
        first_slots=np.arange(patients) * width,
        masked_slots=inputs["masked_rows"] * width + inputs["masked_columns"],
        masked_labels=inputs["masked_labels"],
        prolonged_los=inputs["prolonged_los"],
    )
    hidden = np.where(real, 0, HIDDEN_SLOT)[:, None, None, :].astype(np.float32)
    return SlotArrays(*(array.astype(np.int32) for array in arrays)), hidden
