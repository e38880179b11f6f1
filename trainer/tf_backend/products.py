"""Matrix products in another precision than what they read and give."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def matmul(one: tf.Tensor, other: tf.Tensor, precision: tf.DType, **options: Any) -> tf.Tensor:
    """tf.matmul of float32 tensors, made in `precision`, forward and backward."""
    if precision == tf.float32:
        return tf.matmul(one, other, **options)
    return tf.cast(tf.matmul(tf.cast(one, precision), tf.cast(other, precision), **options), tf.float32)
