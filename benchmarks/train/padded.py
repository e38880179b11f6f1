"""Patients padded to one width, as others train them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.core.input.batch import MaskedBatch
from trainer.core.input.ragged import ranges


@dataclass(frozen=True)
class PaddedBatch:
    """P patients padded to T codes, K of which are masked."""

    input_ids: np.ndarray
    """(P, T) int32, masked and padded"""
    visit_numbers: np.ndarray
    """(P, T) int32, 0 in empty slots"""
    real: np.ndarray
    """(P, T) bool: where a code is"""
    masked_slots: np.ndarray
    """(K,) int64: places in the flattened (P * T,) slots"""
    masked_labels: np.ndarray
    """(K,) int32: the codes that stood there"""
    prolonged_los: np.ndarray
    """(P,) int32, 0 or 1"""

    @property
    def num_slots(self) -> int:
        return self.input_ids.size


def pad(batch: MaskedBatch, pad_id: int, width: int | None = None) -> PaddedBatch:
    """width: T; the longest patient's if it is not given."""
    patients = batch.patients
    lengths, width = patients.lengths, width or int(patients.lengths.max())
    row_starts = np.arange(patients.num_patients) * width
    slots = ranges(row_starts, lengths)
    flat_ids = np.full(patients.num_patients * width, pad_id, np.int32)
    flat_visits = np.zeros_like(flat_ids)
    flat_ids[slots], flat_visits[slots] = batch.input_ids, patients.visit_numbers
    return PaddedBatch(
        input_ids=flat_ids.reshape(-1, width),
        visit_numbers=flat_visits.reshape(-1, width),
        real=np.arange(width) < lengths[:, None],
        masked_slots=slots[batch.masked],
        masked_labels=batch.labels,
        prolonged_los=patients.prolonged_los,
    )
