"""A checkpoint's intermediate outputs for given inputs: the conversion runs it in a process of its own.

The conversion compares frameworks, and a process has one framework only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import fsspec
import numpy as np

from schemas.checkpoint import open_checkpoint
from schemas.errors import ContractError
from schemas.manifest import is_published
from schemas.model_config import BertConfig, LosPooling, read_bert_config
from schemas.small_files import check_npz
from trainer.backends import BackendName, backend_class
from trainer.config import OptimizerConfig
from trainer.core.world import World


@dataclass(frozen=True)
class ForwardConfig:
    """One forward pass."""

    checkpoint: str
    """A TensorFlow checkpoint's prefix (…/model.ckpt-300), or a checkpoint folder of this project."""
    inputs: str
    """An .npz file with the arrays that trainer.core.backend.Backend.forward takes."""
    outputs: str
    """Where to write its result, as .npz."""
    bert_config: str | None = None
    """bert_config.json of a TensorFlow prefix; a checkpoint folder has its own."""
    los_pooling: LosPooling | None = None
    """What the prolonged-stay head reads; a bert_config.json from elsewhere doesn't say."""
    backend: BackendName | None = None
    """By default the backend that wrote the folder; tensorflow for a prefix."""


def main(config: ForwardConfig) -> None:
    """Load, run, write. Raises ContractError."""
    model, backend_name = _describe(config)
    backend = backend_class(backend_name)(model, OptimizerConfig(), World(), 0)
    backend.load_weights(config.checkpoint)
    with fsspec.open(config.inputs, "rb") as stream:
        check_npz(stream, config.inputs)
        with np.load(stream, allow_pickle=False) as arrays:
            inputs = dict(arrays)
    outputs = backend.forward(inputs)
    with fsspec.open(config.outputs, "wb") as stream:
        np.savez(stream, allow_pickle=False, **outputs)


def _describe(config: ForwardConfig) -> tuple[BertConfig, BackendName]:
    if config.bert_config is not None:
        return read_bert_config(
            config.bert_config, los_pooling=config.los_pooling
        ), config.backend or "tensorflow"
    if not is_published(config.checkpoint):
        raise ContractError(
            f"{config.checkpoint} is no checkpoint folder, and no configuration was given",
            "a TensorFlow checkpoint does not state the sizes of its model",
            "give its bert_config.json with --config",
        )
    checkpoint = open_checkpoint(config.checkpoint)
    plain = checkpoint.config.to_dict() | ({"los_pooling": config.los_pooling} if config.los_pooling else {})
    return BertConfig(**plain), config.backend or cast(BackendName, checkpoint.backend)
