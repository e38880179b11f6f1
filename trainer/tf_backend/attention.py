"""Attention over packed rows: patients who share a row do not see each other."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from trainer.tf_backend.dropout import Dropout


def attend(
    projected: tf.Tensor, hidden: Sequence[tf.Tensor], heads: int, rate: float, dropout: Dropout
) -> tf.Tensor:
    """(N, 3 H), queries, keys and values beside each other → (N, H).

    Queries and values are scaled already, these for dropout.

    hidden: for rows of one width each, to be added to their scores, (count, 1, 1 or width, width).
    """
    shapes = [tf.shape(scores) for scores in hidden]
    slots = [shape[0] * shape[3] for shape in shapes]
    size = projected.shape[1] // (3 * heads)
    outputs = []
    for part, shape, bias in zip(tf.split(projected, slots, num=len(slots)), shapes, hidden, strict=True):
        by_row = tf.reshape(part, [shape[0], shape[3], 3, heads, size])
        query, key, value = tf.unstack(tf.transpose(by_row, [2, 0, 3, 1, 4]))  # (count, heads, width, size)
        scores = tf.matmul(query, key, transpose_b=True) + bias
        found = tf.matmul(dropout.keep(tf.nn.softmax(scores), rate), value)
        outputs.append(tf.reshape(tf.transpose(found, [0, 2, 1, 3]), [-1, heads * size]))
    return tf.concat(outputs, axis=0)
