"""One step's patients as tensors: a flat array of slots, without the padding that the blocks have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from trainer.core.batch import MaskedBatch
from trainer.core.packing import Rows, pack
from trainer.core.ragged import offsets_of, ranges

_HIDDEN = -10_000.0
"""Added to the score of a slot that is not to be seen: e to this power is 0."""
_MASKED_MULTIPLE = 64
"""Masked slots are filled up to a multiple of this, so that steps have few different shapes."""


class Slots(NamedTuple):
    """N slots, some of them empty, and P patients. Whole numbers are int64."""

    input_ids: torch.Tensor
    """(N,)"""
    visit_numbers: torch.Tensor
    """(N,)"""
    positions: torch.Tensor
    """(N,): from 0 in each patient"""
    patients: torch.Tensor
    """(N,): 0 to P - 1; P in empty slots"""
    first_slots: torch.Tensor
    """(P,): each patient's first"""
    masked_slots: torch.Tensor
    """(M,)"""
    masked_labels: torch.Tensor
    """(M,): the codes that stood there; -1 in those that fill up M"""
    prolonged_los: torch.Tensor
    """(P,)"""
    rows: tuple[Rows, ...]
    """What attention sees by itself"""
    hidden: tuple[torch.Tensor, ...]
    """For each of `rows`, to be added to its scores: (count, 1, 1 or width, width) float32"""

    def with_hidden_as(self, dtype: torch.dtype) -> Slots:
        """`hidden` in another type."""
        return self._replace(hidden=tuple(bias.to(dtype) for bias in self.hidden))


def pack_slots(blocks: Sequence[MaskedBatch], device: torch.device) -> Slots:
    """Patients of all blocks, several to a row. At least one patient."""
    real = [_real(block) for block in blocks]
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
    patients = spread(np.repeat(np.arange(len(lengths)), lengths), len(lengths))
    arrays = (
        spread((block.input_ids[is_code] for block, is_code in zip(blocks, real, strict=True)), 0),
        spread((block.visit_numbers[is_code] for block, is_code in zip(blocks, real, strict=True)), 0),
        spread(np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths), 0),
        patients,
        packing.starts,
        np.pad(masked_slots, fill),
        np.pad(labels, fill, constant_values=-1),
        np.concatenate([block.prolonged_los for block in blocks]),
    )
    tensors = [to_tensor(array, device) for array in arrays]
    patients = tensors[3]
    hidden = []
    for rows in packing.rows:
        by_row = patients[rows.start : rows.stop].view(rows.count, 1, rows.width)
        hidden.append((by_row[..., None] != by_row[..., None, :]) * _HIDDEN)
    return Slots(*tensors, packing.rows, tuple(hidden))


def block_slots(block: MaskedBatch, device: torch.device) -> Slots:
    """A block as it stands, empty slots included: one patient a row."""
    patients, length = block.input_ids.shape
    real = _real(block)
    arrays = (
        block.input_ids.ravel(),
        block.visit_numbers.ravel(),
        np.tile(np.arange(length), patients),
        np.where(real, np.arange(patients)[:, None], patients).ravel(),
        np.arange(patients) * length,
        block.masked_positions,
        block.masked_labels,
        block.prolonged_los,
    )
    hidden = to_tensor(~real, device)[:, None, None, :] * _HIDDEN
    tensors = [to_tensor(array, device) for array in arrays]
    return Slots(*tensors, (Rows(0, patients, length),), (hidden,))


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A bool or int64 tensor."""
    plain = torch.from_numpy(np.ascontiguousarray(array, dtype=bool if array.dtype == bool else np.int64))
    if device.type == "cuda":
        plain = plain.pin_memory()  # without this the copy would wait for the GPU
    return plain.to(device, non_blocking=True)


def _real(block: MaskedBatch) -> np.ndarray:
    """(B, T) bool: slots that hold a code; a patient without any has its first slot."""
    return np.arange(block.input_ids.shape[1]) < np.maximum(block.lengths, 1)[:, None]
