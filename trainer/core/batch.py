"""The two shapes of a batch: ragged as it is read, dense and masked as it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RaggedBatch:
    """P patients with N codes in all. Patient p has the codes offsets[p]:offsets[p + 1]."""

    token_ids: np.ndarray
    """(N,) int32"""
    visit_numbers: np.ndarray
    """(N,) int32, from 1"""
    offsets: np.ndarray
    """(P + 1,) int64"""
    prolonged_los: np.ndarray
    """(P,) int32, 0 or 1"""
    row_numbers: np.ndarray
    """(P,) int64: the patient's row in its split, counted over the shards in order; keys its masks"""

    @property
    def num_patients(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_codes(self) -> int:
        return len(self.token_ids)

    @property
    def lengths(self) -> np.ndarray:
        """(P,) codes a patient."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class MaskedBatch:
    """One dense block: B patients padded to T codes, M codes of them masked. M and B may be 0."""

    input_ids: np.ndarray
    """(B, T) int32, masked and padded"""
    visit_numbers: np.ndarray
    """(B, T) int32, 0 in empty slots"""
    lengths: np.ndarray
    """(B,) int32: the real codes are the first lengths[b] slots of row b"""
    masked_positions: np.ndarray
    """(M,) int32: places in the flattened (B * T,) block"""
    masked_labels: np.ndarray
    """(M,) int32: the codes that stood there"""
    prolonged_los: np.ndarray
    """(B,) int32, 0 or 1"""
