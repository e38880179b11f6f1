"""The two shapes of a batch: as it is read, and with the codes hidden that the model must guess."""

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
    """A ragged batch of P patients with N codes, K of them masked. K and P may be 0."""

    patients: RaggedBatch
    """As they are."""
    input_ids: np.ndarray
    """(N,) int32: what the model reads"""
    masked: np.ndarray
    """(K,) int64, ascending: places among the N codes"""
    labels: np.ndarray
    """(K,) int32: the codes that stood there"""

    @property
    def masked_each(self) -> np.ndarray:
        """(P,) masked codes a patient."""
        return np.diff(np.searchsorted(self.masked, self.patients.offsets))

    @property
    def masked_patients(self) -> np.ndarray:
        """(K,) int64: whose each masked code is, 0 to P - 1."""
        return np.repeat(np.arange(self.patients.num_patients), self.masked_each)
