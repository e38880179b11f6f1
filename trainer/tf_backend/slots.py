"""trainer.core.input.slots as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from trainer.core.input.packing import NARROWEST
from trainer.core.input.slots import HIDDEN_SLOT, PackedPiece, SlotArrays

_INTS = tf.TensorSpec([None], tf.int32)


class Slots(NamedTuple):
    """N slots, some of them empty, and P patients, as in trainer.core.input.slots.SlotArrays. All int32."""

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


def packed_slots(piece: PackedPiece, widths: Sequence[int]) -> tuple[Slots, tf.Tensor]:
    """Patients of a piece, several to a row, and how many rows there are of each width, (W,) int32."""
    counts = {rows.width: rows.count for rows in piece.rows}
    return to_tensors(piece.slots), tf.constant([counts.get(width, 0) for width in widths], tf.int32)


def hidden_by_width(patients: tf.Tensor, counts: tf.Tensor, widths: Sequence[int]) -> tuple[tf.Tensor, ...]:
    """For the rows of each width what is added to their scores, (count, 1, width, width)."""
    parts = tf.split(patients, counts * tf.constant(widths), num=len(widths))
    hidden = []
    for part, width in zip(parts, widths, strict=True):
        by_row = tf.reshape(part, [-1, 1, width])
        apart = tf.not_equal(by_row[..., tf.newaxis], by_row[..., tf.newaxis, :])
        hidden.append(tf.cast(apart, tf.float32) * HIDDEN_SLOT)
    return tuple(hidden)


def to_tensors(arrays: SlotArrays) -> Slots:
    return Slots(*(tf.constant(array, tf.int32) for array in arrays))
