"""The small models that the backends' tests build, and the random patients that they see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from schemas.model_config import BertConfig
from trainer.config import OptimizerConfig
from trainer.core.backend import Backend, StepOptions, StepResult, StepTotals
from trainer.core.input.batch import MaskedBatch, RaggedBatch
from trainer.core.input.ragged import concatenate, offsets_of, ranges, take
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


def make_batch(seed: int, patients: int, length: int, vocab_size: int = SMALL.vocab_size) -> MaskedBatch:
    """Random patients of random lengths up to `length`, 3 of 10 codes masked, some as id 0 like [PAD]."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, length + 1, patients)
    offsets = offsets_of(lengths)
    codes = int(offsets[-1])
    masked = np.flatnonzero(generator.random(codes) < 0.3)
    ids = generator.integers(4, vocab_size, codes).astype(np.int32)
    shown = ids.copy()
    shown[masked[::3]] = 0
    places = ranges(np.zeros(patients, np.int64), lengths)
    ragged = RaggedBatch(
        token_ids=ids,
        visit_numbers=(places // 3 + 1).astype(np.int32),
        offsets=offsets,
        prolonged_los=generator.integers(0, 2, patients).astype(np.int32),
        row_numbers=np.arange(patients),
    )
    return MaskedBatch(ragged, shown, masked, ids[masked])


def patients_of(batch: MaskedBatch, rows: slice) -> MaskedBatch:
    """Some patients of a batch."""
    first, stop, _ = rows.indices(batch.patients.num_patients)
    start, end = batch.patients.offsets[[first, max(first, stop)]]
    kept = (batch.masked >= start) & (batch.masked < end)
    return MaskedBatch(
        take(batch.patients, np.arange(first, stop)),
        batch.input_ids[start:end],
        batch.masked[kept] - start,
        batch.labels[kept],
    )


def join(*batches: MaskedBatch) -> MaskedBatch:
    """The patients of all batches."""
    codes_before = np.cumsum([0, *(batch.patients.num_codes for batch in batches[:-1])])
    return MaskedBatch(
        concatenate([batch.patients for batch in batches]),
        np.concatenate([batch.input_ids for batch in batches]),
        np.concatenate([batch.masked + before for batch, before in zip(batches, codes_before, strict=True)]),
        np.concatenate([batch.labels for batch in batches]),
    )


def without_masks(batch: MaskedBatch) -> MaskedBatch:
    return replace(batch, masked=batch.masked[:0], labels=batch.labels[:0])


def totals_of(batch: MaskedBatch) -> StepTotals:
    return StepTotals(len(batch.masked), batch.patients.num_patients)


def train(model: Backend, batch: MaskedBatch, step: int = 1, totals: StepTotals | None = None) -> StepResult:
    """A step. totals: the batch's, if not given."""
    return model.train_step(model.pack(batch), totals or totals_of(batch), LEARNING_RATE, step)


def gradients_of(
    model: Any, batch: MaskedBatch, step: int = 1, totals: StepTotals | None = None
) -> dict[str, np.ndarray]:
    """A step's, see named_gradients. totals: the batch's, if not given."""
    return model.named_gradients(model.pack(batch), totals or totals_of(batch), step)


def under(name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays with `name/` before their names."""
    return {f"{name}/{key}": value for key, value in arrays.items()}


EMPTY = patients_of(make_batch(0, 1, 5), slice(0, 0))


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
    return Chosen(config, optimizer or OptimizerConfig(), detect_world(), seed, StepOptions(**options))


def forward_inputs() -> dict[str, np.ndarray]:
    """Of Backend.forward, for six patients of at most 12 codes."""
    batch = make_batch(4, 6, 12)
    lengths = batch.patients.lengths
    real = np.arange(12) < lengths[:, None]
    ids, visits = np.zeros(real.shape, np.int32), np.zeros(real.shape, np.int32)
    ids[real], visits[real] = batch.input_ids, batch.patients.visit_numbers
    rows = batch.masked_patients
    return {
        "input_ids": ids,
        "attention_mask": real.astype(np.int32),
        "token_type_ids": visits,
        "masked_rows": rows,
        "masked_columns": batch.masked - batch.patients.offsets[rows],
        "masked_labels": batch.labels,
        "prolonged_los": batch.patients.prolonged_los,
    }
