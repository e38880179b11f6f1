"""Attention over packed rows: patients who share a row do not see each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer.tf_backend.dropout import Dropout, keep


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
        kept = dropout.kept(tf.stack([shape[0], heads, shape[3], shape[3]]), rate)
        found = _attend_rows(query, key, value, bias, kept)
        outputs.append(tf.reshape(tf.transpose(found, [0, 2, 1, 3]), [-1, heads * size]))
    return tf.concat(outputs, axis=0)


def _attend_rows(
    query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, bias: tf.Tensor, kept: tf.Tensor | None
) -> tf.Tensor:
    """(count, heads, width, size) each; bias and kept for (count, heads, width, width), kept None for all.

    Its gradient is made by hand, which needs the attention before and after dropout, but no mask.
    """

    @tf.custom_gradient
    def attention(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> Any:
        shares = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)
        dropped = shares if kept is None else keep(shares, kept)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            along = dropped * tf.matmul(upstream, value, transpose_b=True)
            found = along - shares * tf.reduce_sum(along, axis=-1, keepdims=True)
            return (
                tf.matmul(found, key),
                tf.matmul(found, query, transpose_a=True),
                tf.matmul(dropped, upstream, transpose_a=True),
            )

        return tf.matmul(dropped, value), gradient

    return attention(query, key, value)
