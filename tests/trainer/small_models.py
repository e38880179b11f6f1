"""The small models that the backends' tests build, and the random patients that they see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from schemas.model_config import BertConfig
from trainer.config import OptimizerConfig
from trainer.core.backend import Backend, StepTotals
from trainer.core.batch import MaskedBatch
from trainer.core.world import detect_world

SMALL = BertConfig(
    vocab_size=97,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=32,
    type_vocab_size=20,
    initializer_range=0.2,  # wide, so that every gradient is far from 0
)
STILL = replace(SMALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
LEARNING_RATE = 1e-3


def make_block(seed: int, patients: int, length: int, vocab_size: int = SMALL.vocab_size) -> MaskedBatch:
    """Random patients of random lengths up to `length`, 3 of 10 codes masked, some as id 0 like [PAD]."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, length + 1, patients).astype(np.int32)
    real = np.arange(length) < lengths[:, None]
    masked = np.flatnonzero(real & (generator.random((patients, length)) < 0.3))
    ids = np.where(real, generator.integers(4, vocab_size, (patients, length)), 0)
    ids.flat[masked[::3]] = 0
    return MaskedBatch(
        input_ids=ids.astype(np.int32),
        visit_numbers=np.where(real, np.arange(length) // 3 + 1, 0).astype(np.int32),
        lengths=lengths,
        masked_positions=masked.astype(np.int32),
        masked_labels=generator.integers(4, vocab_size, len(masked)).astype(np.int32),
        prolonged_los=generator.integers(0, 2, patients).astype(np.int32),
    )


def patients_of(block: MaskedBatch, rows: slice) -> MaskedBatch:
    """Some patients of a block."""
    length = block.input_ids.shape[1]
    first, last, _ = rows.indices(len(block.lengths))
    kept = (block.masked_positions >= first * length) & (block.masked_positions < last * length)
    return MaskedBatch(
        block.input_ids[rows],
        block.visit_numbers[rows],
        block.lengths[rows],
        block.masked_positions[kept] - np.int32(first * length),
        block.masked_labels[kept],
        block.prolonged_los[rows],
    )


def wider(block: MaskedBatch, more: int = 3) -> MaskedBatch:
    """The same patients with more empty slots."""
    rows, columns = np.divmod(block.masked_positions, block.input_ids.shape[1])
    pad = ((0, 0), (0, more))
    return replace(
        block,
        input_ids=np.pad(block.input_ids, pad),
        visit_numbers=np.pad(block.visit_numbers, pad),
        masked_positions=(rows * (block.input_ids.shape[1] + more) + columns).astype(np.int32),
    )


def without_masks(block: MaskedBatch) -> MaskedBatch:
    return replace(block, masked_positions=block.masked_positions[:0], masked_labels=block.masked_labels[:0])


def totals_of(blocks: list[MaskedBatch]) -> StepTotals:
    return StepTotals(sum(len(b.masked_labels) for b in blocks), sum(len(b.lengths) for b in blocks))


def under(name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays with `name/` before their names."""
    return {f"{name}/{key}": value for key, value in arrays.items()}


EMPTY = patients_of(make_block(0, 1, 5), slice(0, 0))


def build(
    backend: str,
    config: BertConfig,
    seed: int = 5,
    optimizer: OptimizerConfig | None = None,
    **options: Any,
) -> Backend:
    if backend == "tensorflow":
        from trainer.tf_backend.backend import TensorFlowBackend as Chosen
    else:
        from trainer.torch_backend.backend import TorchBackend as Chosen
    return Chosen(config, optimizer or OptimizerConfig(), detect_world(), seed, **options)


def forward_inputs() -> dict[str, np.ndarray]:
    """Of Backend.forward, for six patients."""
    block = make_block(4, 6, 12)
    rows, columns = np.divmod(block.masked_positions, 12)
    return {
        "input_ids": block.input_ids,
        "attention_mask": (np.arange(12) < block.lengths[:, None]).astype(np.int32),
        "token_type_ids": block.visit_numbers,
        "masked_rows": rows,
        "masked_columns": columns,
        "masked_labels": block.masked_labels,
        "prolonged_los": block.prolonged_los,
    }
