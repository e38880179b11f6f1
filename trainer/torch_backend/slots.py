"""trainer.core.input.slots as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from trainer.core.input.packing import Rows
from trainer.core.input.slots import HIDDEN_SLOT, PackedPiece, SlotArrays


class Slots(NamedTuple):
    """N slots, some of them empty, and P patients, as in trainer.core.input.slots.SlotArrays. All int64."""

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


def packed_slots(piece: PackedPiece, device: torch.device) -> Slots:
    """Patients of a piece, several to a row."""
    tensors = [to_tensor(array, device) for array in piece.slots]
    patients = tensors[piece.slots._fields.index("patients")]
    hidden = []
    for rows in piece.rows:
        by_row = patients[rows.start : rows.stop].view(rows.count, 1, rows.width)
        hidden.append((by_row[..., None] != by_row[..., None, :]) * HIDDEN_SLOT)
    return Slots(*tensors, piece.rows, tuple(hidden))


def row_slots(arrays: SlotArrays, hidden: np.ndarray, device: torch.device) -> Slots:
    """Rows of one patient each. hidden: (B, 1, 1, T) float32, see Slots.hidden."""
    count, *_, width = hidden.shape
    tensors = [to_tensor(array, device) for array in arrays]
    return Slots(*tensors, (Rows(0, count, width),), (torch.from_numpy(hidden).to(device),))


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Whole numbers → int64."""
    plain = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        plain = plain.pin_memory()  # without this the copy would wait for the GPU
    return plain.to(device, non_blocking=True).long()


def arrival(values: torch.Tensor) -> Callable[[], list[float]]:
    """(K,) on its way to the host; what is returned waits for it."""
    if values.device.type != "cuda":
        return values.tolist
    on_host = torch.empty_like(values, device="cpu", pin_memory=True)
    on_host.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def read() -> list[float]:
        arrived.synchronize()
        return on_host.tolist()

    return read
