"""What the benchmark of losses says of its numbers, and that its plain way is plain training."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.train import loss
from benchmarks.train.shards import write_split, write_vocabulary
from schemas.vocabulary import read_vocabulary
from trainer.config import DataConfig, ModelConfig, OptimizerConfig, PretrainConfig
from trainer.core.backend import StepTotals
from trainer.core.input.order import Position
from trainer.core.input.training_input import BatchMaker, training_input
from trainer.core.world import World
from trainer.readers import open_reader
from trainer.torch_backend.backend import TorchBackend


def measured(*losses: float) -> list[dict[str, float]]:
    return [{"loss": value, "patients_per_cpu_s": 100.0} for value in losses]


def test_differences_are_those_of_the_same_seed():
    plain = measured(1.0, 2.0, 3.0)
    near = loss.row("near", measured(1.02, 1.99, 3.01), plain)
    assert (near["loss"], near["difference"], near["equal"]) == (2.0067, "+0.0067", "yes")
    assert near["error"] == pytest.approx(0.0088, abs=1e-4)
    assert loss.row("off", measured(1.1, 2.11, 3.09), plain)["equal"] == "NO"
    assert "equal" not in loss.row("plain", plain, plain)


def test_both_ways_take_the_same_step_without_dropout(tmp_path):
    fingerprint = write_vocabulary(f"{tmp_path}/vocabulary", 120)
    write_split(f"{tmp_path}/shards/train", 60, 120, fingerprint, seed=0, topics=3)
    config = PretrainConfig(
        data=DataConfig(f"{tmp_path}/shards", f"{tmp_path}/vocabulary", max_seq_length=32),
        output=str(tmp_path),
        model=ModelConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2,
        ),
        optimizer=OptimizerConfig(learning_rate=1e-2),
    )  # fmt: skip
    vocabulary = read_vocabulary(config.data.vocabulary)
    maker = BatchMaker.of(config.masking, vocabulary, config.data.max_seq_length)
    reader = open_reader("arrow", f"{config.data.shards}/train")
    arguments = (config.model.bert_config(len(vocabulary)), config.optimizer, World(), 0)
    plain, ours = loss.PlainBackend(32, vocabulary.special.pad, *arguments), TorchBackend(*arguments)
    results = []
    for backend in (plain, ours):
        step = next(training_input(reader, maker, 0, 0, Position.start(0, 60, 1, 20), backend.pack))
        totals = StepTotals(step.num_masked, step.num_patients)
        results.append(backend.train_step(step.packed, totals, 1e-2, 1))
    assert results[0].mlm_loss == pytest.approx(results[1].mlm_loss, abs=1e-5)
    found = ours.named_weights()
    for name, weight in plain.named_weights().items():
        np.testing.assert_allclose(found[name], weight, atol=1e-4, err_msg=name)
