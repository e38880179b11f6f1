"""Whether speed costs loss: our step beside the plain one, on the same patients, from the same weights.

    python -m benchmarks.train.loss --output runs/bench-loss

The plain way is (d)'s: transformers' modules in float32, every patient padded to the full length, PyTorch's
own dropout and differentiation. Optimiser, masks and order of patients are the same. A small network learns
data in which a patient's codes come from a topic of theirs; then the validation loss of each way, over some
seeds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks import tables
from benchmarks.train.padded import pad
from benchmarks.train.padded_steps import run_padded
from benchmarks.train.shards import write_split, write_vocabulary
from schemas.vocabulary import Vocabulary, read_vocabulary
from trainer.config import DataConfig, ModelConfig, OptimizerConfig, PretrainConfig
from trainer.core.backend import StepOptions, StepTotals
from trainer.core.backend_rules import dropout_seed
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.masking import evaluation_key
from trainer.core.input.order import Order, Position
from trainer.core.input.stream import stream_batches
from trainer.core.input.training_input import BatchMaker, training_input
from trainer.core.schedule import learning_rate
from trainer.core.world import World
from trainer.readers import open_reader
from trainer.torch_backend.backend import TorchBackend

PLAIN = "plain: float32, padded"
WAYS = {PLAIN: "float32", "ours, float32": "float32", "ours, bfloat16": "bfloat16"}
COLUMNS = {
    "way": "",
    "loss": "validation loss",
    "spread": "standard deviation over seeds",
    "difference": "above plain",
    "error": "± standard error",
    "equal": "equal within noise",
    "patients_per_cpu_s": "patients a CPU second",
}
NOISE = 3.0
"""Standard errors that a mean difference of so few seeds may be off without meaning anything."""


class PlainBackend(TorchBackend):
    """Our optimiser, but the gradients of plain differentiation."""

    def __init__(self, width: int, pad_id: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._width, self._pad_id = width, pad_id

    def pack(self, batch: MaskedBatch) -> Any:
        return pad(batch, self._pad_id, self._width)

    def _step_gradients(
        self, packed: Any, totals: StepTotals, step: int, watch: Any = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(dropout_seed(self._seed, step, 0, 0))
        outputs = run_padded(self._model.train(), packed, torch.device("cpu"))
        sums = torch.stack(
            [
                cross_entropy(outputs.scores, outputs.labels, reduction="sum"),
                cross_entropy(outputs.los_logits, outputs.prolonged_los, reduction="sum"),
            ]
        )
        loss = sums[0] / totals.masked_codes + sums[1] / totals.patients
        gradients = torch.autograd.grad(loss, list(self._parameters.values()))
        return sums.detach(), dict(zip(self._parameters, gradients, strict=True))


def main() -> None:
    options = parse()
    shutil.rmtree(options.output, ignore_errors=True)
    os.makedirs(options.output)
    vocabulary, shards = f"{options.output}/vocabulary", f"{options.output}/shards"
    fingerprint = write_vocabulary(vocabulary, options.vocabulary_size)
    for seed, (split, patients) in enumerate(
        (("train", options.patients), ("valid", options.valid_patients))
    ):
        write_split(f"{shards}/{split}", patients, options.vocabulary_size, fingerprint, seed, options.topics)
    config = PretrainConfig(
        data=DataConfig(shards, vocabulary, max_seq_length=options.max_seq_length),
        output=options.output,
        steps=options.patients // options.batch_size,
        batch_size=options.batch_size,
        model=ModelConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, initializer_range=0.1),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=50),
    )
    measured = {
        way: [train(replace(config, seed=seed, precision=precision), way) for seed in range(options.seeds)]
        for way, precision in WAYS.items()
    }
    rows = [row(way, measured[way], measured[PLAIN]) for way in WAYS]
    headline = (
        f"{options.patients:,} patients, {config.steps:,} steps of {config.batch_size}; "
        f"{options.valid_patients:,} patients validated, {options.seeds} seeds; the first step's loss was "
        f"{measured[PLAIN][0]['first']:.3f}"
    )
    text = tables.markdown(headline, COLUMNS, rows, {})
    print(text)
    print("written:", *tables.write(text, {"measured": measured, "rows": rows}, options.output))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.train.loss", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--output", default="runs/bench-loss")
    parser.add_argument("--patients", type=int, default=40_000, help="trained on, once")
    parser.add_argument("--valid_patients", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--max_seq_length", type=int, default=64)
    parser.add_argument("--vocabulary_size", type=int, default=1_000)
    parser.add_argument("--topics", type=int, default=20)
    return parser.parse_args()


def train(config: PretrainConfig, way: str) -> dict[str, float]:
    """Train and evaluate: the validation loss (mlm + los), and what the steps took."""
    vocabulary = read_vocabulary(config.data.vocabulary)
    maker = BatchMaker.of(config.masking, vocabulary, config.data.max_seq_length)
    arguments = (config.model.bert_config(len(vocabulary)), config.optimizer, World(), config.seed)
    backend = (
        PlainBackend(config.data.max_seq_length, vocabulary.special.pad, *arguments)
        if way == PLAIN
        else TorchBackend(*arguments, StepOptions(precision=config.precision))
    )
    reader = open_reader(config.data.reader, f"{config.data.shards}/train")
    start = Position.start(0, sum(reader.shard_rows), 1, config.batch_size)
    steps = training_input(reader, maker, config.seed, 0, start, backend.pack)
    began, losses = time.process_time(), []
    for step in range(1, config.steps + 1):
        step_input = next(steps)
        rate = learning_rate(
            step - 1,
            peak=config.optimizer.learning_rate,
            warmup=config.optimizer.warmup_steps,
            total=config.steps,
        )
        totals = StepTotals(step_input.num_masked, step_input.num_patients)
        result = backend.train_step(step_input.packed, totals, rate, step)
        losses.append(result.mlm_loss + result.los_loss)
    seconds = time.process_time() - began
    return {
        "loss": validation_loss(backend, config, vocabulary),
        "first": losses[0],
        "patients_per_cpu_s": config.steps * config.batch_size / seconds,
    }


def validation_loss(backend: TorchBackend, config: PretrainConfig, vocabulary: Vocabulary) -> float:
    """mlm_loss + los_loss over the whole valid split."""
    maker = BatchMaker.of(config.masking.for_evaluation(), vocabulary, config.data.max_seq_length)
    mlm, los, masked, patients = 0.0, 0.0, 0, 0
    for batch in valid_batches(config, maker):
        found = backend.predict(batch)
        mlm, los = mlm + found.mlm_loss_sum, los + found.los_loss_sum
        masked, patients = masked + len(batch.masked), patients + batch.patients.num_patients
    return mlm / masked + los / patients


def valid_batches(config: PretrainConfig, maker: BatchMaker) -> Iterator[MaskedBatch]:
    reader = open_reader(config.data.reader, f"{config.data.shards}/valid")
    order = Order(reader.shard_rows, None)
    for batch in stream_batches(reader, order, [(0, order.num_patients)], config.batch_size):
        yield maker.prepare(batch, evaluation_key())[0]


def row(
    way: str, found: Sequence[Mapping[str, float]], plain: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """A way's line. Differences are those of the same seed."""
    losses = [one["loss"] for one in found]
    line: dict[str, Any] = {
        "way": way,
        "loss": round(statistics.mean(losses), 4),
        "spread": round(statistics.stdev(losses), 4),
        "patients_per_cpu_s": round(statistics.median(one["patients_per_cpu_s"] for one in found)),
    }
    if found is plain:
        return line
    differences = [one["loss"] - other["loss"] for one, other in zip(found, plain, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    difference = statistics.mean(differences)
    return line | {
        "difference": f"{difference:+.4f}",
        "error": round(error, 4),
        "equal": "yes" if abs(difference) <= NOISE * error else "NO",
    }


if __name__ == "__main__":
    main()
