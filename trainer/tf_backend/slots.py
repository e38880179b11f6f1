"""trainer.core.slots as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.core.batch import MaskedBatch
from trainer.core.packing import NARROWEST
from trainer.core.slots import HIDDEN_SLOT, SlotArrays, packed_slots, real_slots, slots_of_block

_INTS = tf.TensorSpec([None], tf.int32)


class Slots(NamedTuple):
    """N slots, some of them empty, and P patients, as in trainer.core.slots.SlotArrays. All int32."""

    input_ids: tf.Tensor
    visit_numbers: tf.Tensor
    positions: tf.Tensor
    patients: tf.Tensor
    first_slots: tf.Tensor
    masked_slots: tf.Tensor
    masked_labels: tf.Tensor
    prolonged_los: tf.Tensor


SLOTS_SPEC = Slots(*[_INTS] * len(Slots._fields))


def row_widths(longest: int) -> tuple[int, ...]:
    """Of the rows that patients of at most so many codes are packed in; they ascend."""
    widths = [NARROWEST]
    while widths[-1] < longest:
        widths.append(2 * widths[-1])
    return tuple(widths)


def pack_slots(blocks: Sequence[MaskedBatch], widths: Sequence[int]) -> tuple[Slots, tf.Tensor]:
    """Patients of all blocks, several to a row, and how many rows there are of each width, (W,) int32.

    At least one patient.
    """
    arrays, all_rows = packed_slots(blocks)
    counts = {rows.width: rows.count for rows in all_rows}
    return _to_tensors(arrays), tf.constant([counts.get(width, 0) for width in widths], tf.int32)


def block_slots(block: MaskedBatch) -> tuple[Slots, tf.Tensor]:
    """A block as it stands, one patient a row; what is added to attention's scores, (B, 1, 1, T)."""
    hidden = np.where(real_slots(block), 0, HIDDEN_SLOT)[:, None, None, :]
    return _to_tensors(slots_of_block(block)), tf.constant(hidden, tf.float32)


def hidden_by_width(patients: tf.Tensor, counts: tf.Tensor, widths: Sequence[int]) -> tuple[tf.Tensor, ...]:
    """For the rows of each width what is added to their scores, (count, 1, width, width)."""
    parts = tf.split(patients, counts * tf.constant(widths), num=len(widths))
    hidden = []
    for part, width in zip(parts, widths, strict=True):
        by_row = tf.reshape(part, [-1, 1, width])
        apart = tf.not_equal(by_row[..., tf.newaxis], by_row[..., tf.newaxis, :])
        hidden.append(tf.cast(apart, tf.float32) * HIDDEN_SLOT)
    return tuple(hidden)


def _to_tensors(arrays: SlotArrays) -> Slots:
    return Slots(*(tf.constant(array, tf.int32) for array in arrays))
