"""trainer.core.slots as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from trainer.core.batch import MaskedBatch
from trainer.core.packing import Rows
from trainer.core.slots import HIDDEN_SLOT, packed_slots, real_slots, slots_of_block


class Slots(NamedTuple):
    """N slots, some of them empty, and P patients, as in trainer.core.slots.SlotArrays. All int64."""

    input_ids: torch.Tensor
    visit_numbers: torch.Tensor
    positions: torch.Tensor
    patients: torch.Tensor
    first_slots: torch.Tensor
    masked_slots: torch.Tensor
    masked_labels: torch.Tensor
    prolonged_los: torch.Tensor
    rows: tuple[Rows, ...]
    """What attention sees by itself"""
    hidden: tuple[torch.Tensor, ...]
    """For each of `rows`, to be added to its scores: (count, 1, 1 or width, width) float32"""

    def with_hidden_as(self, dtype: torch.dtype) -> Slots:
        """`hidden` in another type."""
        return self._replace(hidden=tuple(bias.to(dtype) for bias in self.hidden))


def pack_slots(blocks: Sequence[MaskedBatch], device: torch.device) -> Slots:
    """Patients of all blocks, several to a row. At least one patient."""
    arrays, all_rows = packed_slots(blocks)
    tensors = [to_tensor(array, device) for array in arrays]
    patients = tensors[arrays._fields.index("patients")]
    hidden = []
    for rows in all_rows:
        by_row = patients[rows.start : rows.stop].view(rows.count, 1, rows.width)
        hidden.append((by_row[..., None] != by_row[..., None, :]) * HIDDEN_SLOT)
    return Slots(*tensors, all_rows, tuple(hidden))


def block_slots(block: MaskedBatch, device: torch.device) -> Slots:
    """A block as it stands, empty slots included: one patient a row."""
    hidden = to_tensor(~real_slots(block), device)[:, None, None, :] * HIDDEN_SLOT
    tensors = [to_tensor(array, device) for array in slots_of_block(block)]
    return Slots(*tensors, (Rows(0, *block.input_ids.shape),), (hidden,))


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A bool or int64 tensor."""
    plain = torch.from_numpy(np.ascontiguousarray(array, dtype=bool if array.dtype == bool else np.int64))
    if device.type == "cuda":
        plain = plain.pin_memory()  # without this the copy would wait for the GPU
    return plain.to(device, non_blocking=True)
