"""Dropout without a generator's state: a pure function of a block's seed and of the place in the network."""

from __future__ import annotations

import tensorflow as tf


class Dropout:
    """Drops a share of the values wherever it is called, differently at each call.

    Make a new one for each run of the network: the calls are counted.

    seed: (2,) int64, or None for no dropout.
    """

    def __init__(self, seed: tf.Tensor | None) -> None:
        self._seed, self._calls = seed, 0

    def __call__(self, values: tf.Tensor, rate: float) -> tf.Tensor:
        if self._seed is None or rate == 0.0:
            return values
        self._calls += 1
        seed = self._seed + tf.constant([0, self._calls], tf.int64)
        return tf.nn.experimental.stateless_dropout(values, rate, seed=seed)
