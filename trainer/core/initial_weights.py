"""The weights that a run starts from: the same arrays in both backends and on every rank."""

from __future__ import annotations

import numpy as np

from schemas.bert_names import tensorflow_shapes
from schemas.model_config import BertConfig

_WIDEST = 2.0
"""A draw further from 0 than this many standard deviations is drawn again, as BERT's initialiser does."""


def initial_weights(config: BertConfig, seed: int) -> dict[str, np.ndarray]:
    """BERT's TensorFlow names → float32 arrays, a pure function of (config, seed).

    Kernels and embeddings are truncated normal with standard deviation `initializer_range`, the scales of
    layer norms are 1, everything else is 0 (google-research/bert `modeling.py`).
    """
    return {
        name: _initial_array(name, shape, config.initializer_range, np.random.default_rng((seed, number)))
        for number, (name, shape) in enumerate(tensorflow_shapes(config).items())
    }


def _initial_array(
    name: str, shape: tuple[int, ...], initializer_range: float, generator: np.random.Generator
) -> np.ndarray:
    if name.endswith("gamma"):
        return np.ones(shape, np.float32)
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    values = generator.standard_normal(shape, np.float32)
    while len(outside := np.flatnonzero(np.abs(values) > _WIDEST)):
        values.flat[outside] = generator.standard_normal(len(outside), np.float32)
    return values * np.float32(initializer_range)
