"""What both optimisers keep of every variable."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from trainer.config import OptimizerConfig


class Moments:
    """m and v, running means of the gradient and of its square, by the variable's name."""

    def __init__(self, weights: Mapping[str, tf.Variable], config: OptimizerConfig) -> None:
        self._weights, self._config = weights, config
        self.m = {name: tf.Variable(tf.zeros(w.shape), trainable=False) for name, w in weights.items()}
        self.v = {name: tf.Variable(tf.zeros(w.shape), trainable=False) for name, w in weights.items()}

    def _scale(self, norm: tf.Tensor) -> tf.Tensor:
        """() of every gradient, so that the whole one is no longer than clip_norm. norm (): its own."""
        return 1.0 / tf.maximum(norm / self._config.clip_norm, 1.0)
