"""Dense layers with their gradient by hand: a sum over slots is fastest as a product with ones."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


@tf.custom_gradient
def dense(values: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> Any:
    """(N, I), (I, O), (O,), all of one type → (N, O)."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return (
            tf.matmul(upstream, kernel, transpose_b=True),
            tf.matmul(values, upstream, transpose_a=True),
            sum_of_rows(upstream),
        )

    return tf.matmul(values, kernel) + bias, gradient


def sum_of_rows(values: tf.Tensor) -> tf.Tensor:
    """(N, H) → (H,)"""
    return tf.matmul(tf.ones([1, tf.shape(values)[0]], values.dtype), values)[0]
