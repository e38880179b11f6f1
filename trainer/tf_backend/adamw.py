"""BERT's AdamW: no bias correction, no decay on biases and layer norms, the whole gradient clipped."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from trainer.config import OptimizerConfig
from trainer.core.backend_rules import is_decayed
from trainer.tf_backend.moments import Moments
from trainer.tf_backend.traced import traced


class AdamW(Moments):
    """The update is one operation a variable."""

    def __init__(self, weights: Mapping[str, tf.Variable], config: OptimizerConfig) -> None:
        super().__init__(weights, config)
        self._update = traced(self._update_all)

    def apply(
        self, gradients: Mapping[str, tf.Tensor], norm: tf.Tensor, learning_rate: float, step: int
    ) -> None:
        """Update every variable in place. norm (): of the whole gradient. step: not needed."""
        self._update(dict(gradients), self._scale(norm), tf.constant(learning_rate, tf.float32))

    def _update_all(
        self, gradients: Mapping[str, tf.Tensor], scale: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        for name, weight in self._weights.items():
            if is_decayed(name):
                weight.assign(weight * (1.0 - learning_rate * self._config.weight_decay))
            # The powers of beta are what Adam's bias correction is made of: with 0 there is none.
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=self.m[name].handle,
                v=self.v[name].handle,
                beta1_power=0.0,
                beta2_power=0.0,
                lr=learning_rate,
                beta1=self._config.beta_1,
                beta2=self._config.beta_2,
                epsilon=self._config.epsilon,
                grad=gradients[name] * scale,
            )
