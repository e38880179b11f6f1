"""A backend in NumPy: a masked code is guessed from the mean embedding of the patient's visible codes.

It learns within a few dozen steps, so the loop, its metrics and its checkpoints are tested without a
framework.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import fsspec
import numpy as np

from schemas.bert_names import WORD_EMBEDDINGS
from schemas.manifest import join
from schemas.model_config import BertConfig
from trainer.config import OptimizerConfig
from trainer.core.backend import Predictions, StepResult, StepTotals
from trainer.core.input.batch import MaskedBatch
from trainer.core.world import World

_HIDDEN = 8


class Collective:
    """Sums over ranks that are threads of this process."""

    def __init__(self, size: int) -> None:
        self._slots: list[tuple[str, np.ndarray] | None] = [None] * size
        self.barrier = threading.Barrier(size, timeout=60)

    def sum(self, rank: int, name: str, values: np.ndarray) -> np.ndarray:
        self._slots[rank] = (name, np.array(values))
        self.barrier.wait()
        names = {slot[0] for slot in self._slots if slot}
        assert names == {name}, f"ranks add up different things: {names}"
        total = np.sum([slot[1] for slot in self._slots if slot], axis=0)
        self.barrier.wait()
        return total


@dataclass(frozen=True)
class FakePacked:
    """No rows: one slot a code."""

    batch: MaskedBatch

    @property
    def num_slots(self) -> int:
        return self.batch.patients.num_codes


class FakeBackend:
    """See trainer.core.backend.Backend."""

    name = "fake"

    def __init__(
        self,
        config: BertConfig,
        optimizer: OptimizerConfig,
        world: World,
        seed: int,
        collective: Collective | None = None,
        before_step: Callable[[int, FakeBackend], None] | None = None,
        runs_ahead: bool = False,
    ) -> None:
        """runs_ahead: see trainer.core.backend.AheadBackend."""
        self.runs_ahead = runs_ahead
        self.events: list[tuple[str, int]] = []
        """("begin" or "end", step), of a backend that runs ahead"""
        self._failed = False
        rng = np.random.default_rng(seed)
        self.weights = {
            "in": rng.normal(0, 0.1, (config.vocab_size, _HIDDEN)),
            "out": rng.normal(0, 0.1, (_HIDDEN, config.vocab_size)),
            "los": np.zeros(_HIDDEN),
        }
        self.slots = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        self.seen: list[tuple[int, MaskedBatch, float]] = []
        self._mask_id = 3
        self._world, self._collective, self._before_step = world, collective, before_step

    def pack(self, batch: MaskedBatch) -> FakePacked:
        return FakePacked(batch)

    def train_step(
        self, packed: FakePacked, totals: StepTotals, learning_rate: float, step: int
    ) -> StepResult:
        if self._before_step:
            self._before_step(step, self)
        self.seen.append((step, packed.batch, learning_rate))
        gradients = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        losses = self.all_reduce("losses", self._backward(packed.batch, totals, gradients))
        flat = self.all_reduce("gradients", np.concatenate([g.ravel() for g in gradients.values()]))
        norm = float(np.linalg.norm(flat))
        applied = bool(np.isfinite(losses).all() and np.isfinite(norm))
        if applied and not self._failed:
            parts = np.split(flat, np.cumsum([w.size for w in self.weights.values()])[:-1])
            for (name, weight), part in zip(self.weights.items(), parts, strict=True):
                self.slots[name] += part.reshape(weight.shape) ** 2
                weight -= learning_rate * part.reshape(weight.shape) / (np.sqrt(self.slots[name]) + 1e-8)
        return StepResult(losses[0] / max(totals.masked_codes, 1), losses[1] / totals.patients, norm, applied)

    def begin_step(
        self, packed: FakePacked, totals: StepTotals, learning_rate: float, step: int
    ) -> Callable[[], StepResult]:
        self.events.append(("begin", step))
        result = self.train_step(packed, totals, learning_rate, step)
        self._failed |= not result.applied

        def read() -> StepResult:
            self.events.append(("end", step))
            return result

        return read

    def predict(self, batch: MaskedBatch) -> Predictions:
        _, _, log_probs, score = self._forward(batch)
        labels, prolonged_los = batch.labels, batch.patients.prolonged_los
        return Predictions(
            mlm_loss_sum=float(-log_probs[np.arange(len(labels)), labels].sum()),
            los_loss_sum=float(np.logaddexp(0, -score * (2 * prolonged_los - 1)).sum()),
            top_codes=np.argsort(-log_probs, axis=1, kind="stable")[:, :10].astype(np.int32),
            prolonged_los_score=score.astype(np.float32),
        )

    def step_is_finite(self, packed: FakePacked, totals: StepTotals, step: int) -> bool:
        gradients = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        losses = self._backward(packed.batch, totals, gradients)
        return all(np.isfinite(array).all() for array in (losses, *gradients.values()))

    def find_anomaly(self, packed: FakePacked, totals: StepTotals, step: int) -> str | None:
        bad = [name for name, weight in self.weights.items() if not np.isfinite(weight).all()]
        return f"weight {bad[0]}" if bad else None

    def forward(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"embeddings": self.weights["in"][inputs["input_ids"]]}

    def named_weights(self) -> dict[str, np.ndarray]:
        return {WORD_EMBEDDINGS: self.weights["in"]}

    def all_reduce(self, name: str, values: np.ndarray) -> np.ndarray:
        if self._collective is None:
            return np.array(values)
        return self._collective.sum(self._world.rank, name, values)

    def broadcast_weights(self) -> None:
        for kind in (self.weights, self.slots):
            for name, weight in kind.items():
                kind[name] = self.all_reduce(f"broadcast.{name}", weight * self._world.is_first)

    def rejoin(self, world: World) -> None:
        self._world = world

    def snapshot(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        return copy.deepcopy((self.weights, self.slots))

    def restore(self, snapshot: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]) -> None:
        self.weights, self.slots = copy.deepcopy(snapshot)

    def save(self, folder: str, step: int) -> list[str]:
        with fsspec.open(join(folder, "weights.npz"), "wb") as stream:
            np.savez(stream, **self.weights, **{f"{name}/slot": slot for name, slot in self.slots.items()})
        return ["weights.npz"]

    def load(self, folder: str, step: int) -> None:
        with fsspec.open(join(folder, "weights.npz"), "rb") as stream, np.load(stream) as arrays:
            for name in self.weights:
                self.weights[name], self.slots[name] = arrays[name], arrays[f"{name}/slot"]

    def load_weights(self, source: str) -> None:
        with np.load(join(source, "weights.npz")) as arrays:
            self.weights = {name: arrays[name] for name in self.weights}

    def _forward(self, batch: MaskedBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(N,) each code's share in its patient's mean; (P, H); (K, V); (P,)"""
        patients = self._patient_of_code(batch)
        visible = (batch.input_ids != self._mask_id).astype(float)
        share = visible / np.maximum(np.bincount(patients, visible, batch.patients.num_patients), 1)[patients]
        hidden = np.zeros((batch.patients.num_patients, _HIDDEN))
        np.add.at(hidden, patients, self.weights["in"][batch.input_ids] * share[:, None])
        logits = hidden[batch.masked_patients] @ self.weights["out"]
        log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return share, hidden, log_probs, hidden @ self.weights["los"]

    def _backward(
        self, batch: MaskedBatch, totals: StepTotals, gradients: dict[str, np.ndarray]
    ) -> np.ndarray:
        share, hidden, log_probs, score = self._forward(batch)
        rows, labels, prolonged_los = batch.masked_patients, batch.labels, batch.patients.prolonged_los
        d_logits = np.exp(log_probs)
        d_logits[np.arange(len(labels)), labels] -= 1
        d_logits /= max(totals.masked_codes, 1)
        d_score = (1 / (1 + np.exp(-score)) - prolonged_los) / totals.patients
        gradients["out"] += hidden[rows].T @ d_logits
        gradients["los"] += hidden.T @ d_score
        d_hidden = d_score[:, None] * self.weights["los"]
        np.add.at(d_hidden, rows, d_logits @ self.weights["out"].T)
        of_codes = share[:, None] * d_hidden[self._patient_of_code(batch)]
        np.add.at(gradients["in"], batch.input_ids, of_codes)
        los_loss = np.logaddexp(0, -score * (2 * prolonged_los - 1)).sum()
        return np.asarray([-log_probs[np.arange(len(labels)), labels].sum(), los_loss])

    @staticmethod
    def _patient_of_code(batch: MaskedBatch) -> np.ndarray:
        """(N,)"""
        return np.repeat(np.arange(batch.patients.num_patients), batch.patients.lengths)
