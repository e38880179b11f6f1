"""LAMB: Adam whose update of each variable is as long as the variable itself, for very large batches.

Source: You et al. 2020, algorithm 2. Biases and layer norms are not decayed, and their update is Adam's.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from trainer.config import OptimizerConfig
from trainer.core.backend_rules import is_decayed
from trainer.tf_backend.moments import Moments
from trainer.tf_backend.traced import traced


class Lamb(Moments):
    """The update is traced once."""

    def __init__(self, weights: Mapping[str, tf.Variable], config: OptimizerConfig) -> None:
        super().__init__(weights, config)
        self._update = traced(self._update_all)

    def apply(
        self, gradients: Mapping[str, tf.Tensor], norm: tf.Tensor, learning_rate: float, step: int
    ) -> None:
        """Update every variable in place. norm (): of the whole gradient. step: from 1."""
        config = self._config
        numbers = (learning_rate, 1 - config.beta_1**step, 1 - config.beta_2**step)
        constants = (tf.constant(number, tf.float32) for number in numbers)
        self._update(dict(gradients), self._scale(norm), *constants)

    def _update_all(
        self,
        gradients: Mapping[str, tf.Tensor],
        scale: tf.Tensor,
        learning_rate: tf.Tensor,
        m_divisor: tf.Tensor,
        v_divisor: tf.Tensor,
    ) -> None:
        config = self._config
        for name, weight in self._weights.items():
            gradient = gradients[name] * scale
            m = self.m[name].assign(self.m[name] + (gradient - self.m[name]) * (1 - config.beta_1))
            v = self.v[name].assign(config.beta_2 * self.v[name] + (1 - config.beta_2) * gradient**2)
            update = (m / m_divisor) / (tf.sqrt(v / v_divisor) + config.epsilon)
            if is_decayed(name):
                update += config.weight_decay * weight
                update *= _trust(tf.norm(weight), tf.norm(update))
            weight.assign_sub(learning_rate * update)


def _trust(size: tf.Tensor, update_size: tf.Tensor) -> tf.Tensor:
    """A variable's own norm over its update's; 1 where one of them is 0."""
    both = tf.logical_and(size > 0.0, update_size > 0.0)
    return tf.where(both, tf.math.divide_no_nan(size, update_size), 1.0)
