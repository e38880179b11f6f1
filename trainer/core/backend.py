"""What the loop asks of a framework. `tf_backend` and `torch_backend` each have one class of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from schemas.model_config import BertConfig
from trainer.config import MAX_SLOTS, Compression, OptimizerConfig
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.slots import PackedBatch
from trainer.core.world import World


@dataclass(frozen=True)
class StepTotals:
    """Over all ranks of one step: what the loss is divided by, once."""

    masked_codes: int
    patients: int


@dataclass(frozen=True)
class StepResult:
    """Over all ranks. The update was applied unless a loss or the gradient was not finite on some rank."""

    mlm_loss: float
    """Mean negative log-likelihood of a masked code, in nats."""
    los_loss: float
    """Mean negative log-likelihood of a patient's prolonged-stay label, in nats."""
    gradient_norm: float
    """Before clipping."""
    applied: bool


@dataclass(frozen=True)
class Predictions:
    """A batch evaluated, on this rank alone, dropout off; patients and masked codes in the batch's order."""

    mlm_loss_sum: float
    los_loss_sum: float
    top_codes: np.ndarray
    """(K, 10) int32: the likeliest codes of each masked one, best first"""
    prolonged_los_score: np.ndarray
    """(P,) float32: log-odds of a prolonged stay"""


@dataclass(frozen=True)
class StepOptions:
    """How a step is computed; see PretrainConfig."""

    compression: Compression = "none"
    max_slots: int = MAX_SLOTS
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False


STEP_OPTIONS = StepOptions()


class Backend(Protocol):
    """One framework's side of training.

    The loss of a step is mlm_loss_sum / totals.masked_codes + los_loss_sum / totals.patients, sums over
    every part of every rank: gradients are summed over parts and ranks (one named all-reduce) and never
    averaged again. Dropout is a pure function of (seed, step, rank, part), so a resumed run repeats an
    undisturbed one. Weights and slots are handed in and out under BERT's TensorFlow names or files of
    schemas.checkpoint.
    """

    name: str

    def __init__(
        self,
        config: BertConfig,
        optimizer: OptimizerConfig,
        world: World,
        seed: int,
        options: StepOptions = STEP_OPTIONS,
    ) -> None:
        """Build the model with seeded initial weights (truncated normal), equal on every rank."""
        ...

    def pack(self, batch: MaskedBatch) -> PackedBatch:
        """A rank's patients of a step as this backend computes them; called in the input's thread."""
        ...

    def train_step(
        self, packed: PackedBatch, totals: StepTotals, learning_rate: float, step: int
    ) -> StepResult: ...

    def predict(self, batch: MaskedBatch) -> Predictions: ...

    def step_is_finite(self, packed: PackedBatch, totals: StepTotals, step: int) -> bool:
        """Whether this rank's own part of a step (losses and gradients, dropout as in the step) is finite.

        It talks to no other rank and changes nothing.
        """
        ...

    def find_anomaly(self, packed: PackedBatch, totals: StepTotals, step: int) -> str | None:
        """This rank's part of a step again, slowly: what made the first value that is not finite.

        A weight, or an operation and its layer, in words without any patient's data; None if nothing did.
        """
        ...

    def forward(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every intermediate output for the conversion's proof, dropout off.

        inputs: input_ids, attention_mask, token_type_ids (B, T); masked_rows, masked_columns, masked_labels
        (M,); prolonged_los (B,). Result: embeddings and layer_0 … (B, T, H), sequence_output (B, T, H),
        pooled_output (B, H), mlm_log_probs (M, V), los_log_probs (B, 2), mlm_loss, los_loss ().
        """
        ...

    def named_weights(self) -> dict[str, np.ndarray]:
        """The weights under BERT's TensorFlow names and in its layout, in the host's memory."""
        ...

    def all_reduce(self, name: str, values: np.ndarray) -> np.ndarray:
        """The sum over ranks of a float64 or int64 array. `name`: one a call site, equal on every rank.

        Raises RankLost (here, in train_step and in broadcast_weights).
        """
        ...

    def broadcast_weights(self) -> None:
        """Give every rank the first rank's weights and optimiser slots."""
        ...

    def rejoin(self, world: World) -> None:
        """Go on as a rank of another world, which has met already; the weights stay."""
        ...

    def snapshot(self) -> Any:
        """A copy of weights and optimiser slots in the host's memory, for `restore`."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Put the weights and slots of a snapshot back."""
        ...

    def save(self, folder: str, step: int) -> list[str]:
        """Write weights and optimiser slots into a folder (or URI); the files' names, relative to it."""
        ...

    def load(self, folder: str, step: int) -> None:
        """Read back what `save` wrote. Raises ContractError for a file that doesn't fit this model."""
        ...

    def load_weights(self, source: str) -> None:
        """Start from foreign weights (a TensorFlow checkpoint prefix, or a checkpoint folder of this
        backend), without optimiser slots. Raises ContractError naming the variables that are missing or
        misshapen."""
        ...


@runtime_checkable
class AheadBackend(Protocol):
    """A backend that can begin a step before it knows how the last one went, so that a GPU never waits."""

    runs_ahead: bool
    """Whether it does: only beside a device of its own."""

    def begin_step(
        self, packed: PackedBatch, totals: StepTotals, learning_rate: float, step: int
    ) -> Callable[[], StepResult]:
        """A train_step, handed to the device; the result waits for it.

        After a step whose result is not finite no later one is applied.
        """
        ...
