"""Dense layers and dropout with their gradients by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

Gradient = Callable[[tf.Tensor], Any]
"""The result's gradient → those of what the result was made of. It holds on to what it needs and no more."""


def dense(values: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """(N, I), (I, O), (O,), all of one type → (N, O)."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return (
            tf.matmul(upstream, kernel, transpose_b=True),
            tf.matmul(values, upstream, transpose_a=True),
            sum_of_rows(upstream),
        )

    return tf.matmul(values, kernel) + bias, gradient


def keep(values: tf.Tensor, kept: tf.Tensor | None) -> tuple[tf.Tensor, Gradient]:
    """Values, 0 where they are not kept (True or False); None: all are."""
    if kept is None:
        return values, lambda upstream: upstream

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        with not_before(upstream):
            return upstream * tf.cast(kept, upstream.dtype)

    return values * tf.cast(kept, values.dtype), gradient


def not_before(tensor: tf.Tensor) -> AbstractContextManager[object]:
    """Operations that wait for a tensor, though they do not read it.

    TensorFlow runs whatever can be run, and what has run takes memory until it is read.
    """
    return tf.control_dependencies([tensor])


def sum_of_rows(values: tf.Tensor) -> tf.Tensor:
    """(N, H) → (H,). A sum over slots is fastest as a product with ones."""
    return tf.matmul(tf.ones([1, tf.shape(values)[0]], values.dtype), values)[0]
