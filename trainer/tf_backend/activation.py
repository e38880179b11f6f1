"""BERT's activations, with their gradients by hand: of GELU a third of the passes over memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from schemas.model_config import TANH_GELU
from trainer.tf_backend.products import Gradient, not_before

# tanh's argument is twice as large in the sigmoid that equals it: (1 + tanh(x)) / 2 = sigmoid(2 x).
_LINEAR = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR


def gelu(values: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """values × (1 + tanh(√(2/π) (values + 0.044715 values³))) / 2."""
    share = tf.sigmoid(values * (tf.square(values) * _CUBIC + _LINEAR))
    result = values * share

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        with not_before(upstream):
            slope = tf.square(values) * (3 * _CUBIC) + _LINEAR
            return upstream * (share + (result - result * share) * slope)

    return result, gradient


def relu(values: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    result = tf.nn.relu(values)
    return result, lambda upstream: upstream * tf.cast(result > 0, upstream.dtype)


def tanh(values: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    result = tf.tanh(values)
    return result, lambda upstream: upstream * (1 - tf.square(result))


def linear(values: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    return tf.identity(values), lambda upstream: upstream


# By the names of schemas.model_config.ACTIVATIONS.
ACTIVATIONS: dict[str, Callable[[tf.Tensor], tuple[tf.Tensor, Gradient]]] = {
    TANH_GELU: gelu,
    "relu": relu,
    "tanh": tanh,
    "linear": linear,
}
