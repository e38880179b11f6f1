"""Small data sets and configurations for the trainer's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.manifest import join
from tests.trainer.shard_files import random_patients, write_split, write_vocabulary
from trainer.config import DataConfig, MaskingConfig, ModelConfig, OptimizerConfig, PretrainConfig


@dataclass(frozen=True)
class DataSet:
    shards: str
    vocabulary: str
    fingerprint: str


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """400 patients in five uneven training shards (one of them empty), 90 in two valid shards; 40 codes."""
    root = str(tmp_path_factory.mktemp("data"))
    vocabulary, shards = join(root, "vocabulary"), join(root, "shards")
    fingerprint = write_vocabulary(vocabulary)
    patients = random_patients(490)
    sizes = [100, 120, 0, 80, 100]
    parts = [patients[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))]
    write_split(join(shards, "train"), parts, vocabulary_fingerprint=fingerprint)
    write_split(
        join(shards, "valid"), [patients[400:440], patients[440:]], vocabulary_fingerprint=fingerprint
    )
    return DataSet(shards, vocabulary, fingerprint)


@pytest.fixture
def make_config(data_set: DataSet, tmp_path: Any) -> Callable[..., PretrainConfig]:
    """A configuration of a short run; keywords replace its fields, `shards` and `vocabulary` the data."""

    def make(
        *,
        shards: str = data_set.shards,
        vocabulary: str = data_set.vocabulary,
        reader: str = "arrow",
        max_seq_length: int = 32,
        learning_rate: float = 0.3,
        model: ModelConfig | None = None,
        **fields: Any,
    ) -> PretrainConfig:
        defaults = {
            "output": str(tmp_path / "run"),
            "steps": 30,
            "batch_size": 16,
            "log_every": 1,
            "eval_every": 15,
            "checkpoint_every": 10,
            "masking": MaskingConfig(),
        }
        return PretrainConfig(
            data=DataConfig(shards, vocabulary, reader, max_seq_length),  # type: ignore[arg-type]
            model=model or ModelConfig(hidden_size=12, num_hidden_layers=1, max_position_embeddings=64),
            optimizer=OptimizerConfig(learning_rate=learning_rate, warmup_steps=3),
            **(defaults | fields),
        )

    return make
