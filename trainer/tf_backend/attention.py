"""Attention over packed rows: patients who share a row do not see each other."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from trainer.tf_backend.dropout import Dropout
from trainer.tf_backend.products import Gradient, keep, not_before


def attend(
    projected: tf.Tensor, hidden: Sequence[tf.Tensor], heads: int, rate: float, dropout: Dropout
) -> tuple[tf.Tensor, Gradient]:
    """(N, 3 H), queries, keys and values beside each other → (N, H).

    Queries and values are scaled already, these for dropout.

    hidden: for rows of one width each, to be added to their scores, (count, 1, 1 or width, width).
    """
    shapes = [tf.shape(scores) for scores in hidden]
    slots = [shape[0] * shape[3] for shape in shapes]
    size = projected.shape[1] // (3 * heads)
    outputs, gradients = [], []
    for part, shape, bias in zip(tf.split(projected, slots, num=len(slots)), shapes, hidden, strict=True):
        with not_before(part):
            kept = dropout.kept(tf.stack([shape[0], heads, shape[3], shape[3]]), rate)
        by_row = tf.reshape(part, [shape[0], shape[3], 3, heads, size])
        found, gradient = _attend_rows(tf.transpose(by_row, [2, 0, 3, 1, 4]), bias, kept)
        outputs.append(tf.reshape(tf.transpose(found, [0, 2, 1, 3]), [-1, heads * size]))
        gradients.append(gradient)

    def all_gradients(upstream: tf.Tensor) -> tf.Tensor:
        found = []
        parts = tf.split(upstream, slots, num=len(slots))
        for part, shape, gradient in zip(parts, shapes, gradients, strict=True):
            by_row = tf.reshape(part, [shape[0], shape[3], heads, size])
            of_parts = gradient(tf.transpose(by_row, [0, 2, 1, 3]))
            found.append(tf.reshape(tf.transpose(of_parts, [1, 3, 0, 2, 4]), [-1, 3 * heads * size]))
        return tf.concat(found, axis=0)

    return tf.concat(outputs, axis=0), all_gradients


def _attend_rows(parts: tf.Tensor, bias: tf.Tensor, kept: tf.Tensor | None) -> tuple[tf.Tensor, Gradient]:
    """Queries, keys and values, (3, count, heads, width, size) → (count, heads, width, size).

    Between the passes it holds on to the attention before dropout, and to a byte of the mask for each.
    """
    query, key, value = tf.unstack(parts)
    shares = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        with not_before(upstream):
            dropped, _ = keep(shares, kept)
        along = dropped * tf.matmul(upstream, value, transpose_b=True)
        found = along - shares * tf.reduce_sum(along, axis=-1, keepdims=True)
        return tf.stack(
            [
                tf.matmul(found, key),
                tf.matmul(found, query, transpose_a=True),
                tf.matmul(dropped, upstream, transpose_a=True),
            ]
        )

    return tf.matmul(keep(shares, kept)[0], value), gradient
