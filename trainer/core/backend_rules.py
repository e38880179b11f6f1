"""What both backends must do alike, in plain numbers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

import numpy as np

from schemas.errors import ContractError
from trainer.core.backend import Predictions, StepResult, StepTotals
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.slots import PackedPiece
from trainer.core.world import World

TOP_CODES = 10
"""Codes that `Backend.predict` names for each masked slot."""

_MAX_LOGITS = 1 << 25
"""Logits that are in memory at once: 128 MiB in float32."""
_EVALUATED_LOGITS = 1 << 24
"""The same in an evaluation, which has them several times over: scores, logarithms, the best of them."""
_LARGEST_FLOAT16 = 32_768.0
"""Half of it, for rounding."""
_LOGITS_IN_CACHE = 1 << 19
"""Logits that stay in a core's cache: 2 MiB in float32."""


def is_decayed(variable: str) -> bool:
    """Whether AdamW's weight decay touches a variable (its TensorFlow name): no bias, no layer norm."""
    return not (variable.endswith("bias") or "LayerNorm" in variable)


def dropout_seed(seed: int, step: int, rank: int, part: int) -> int:
    """63 bits for the dropout of a step's part. Nothing is remembered, so a resumed run draws the same."""
    return int(np.random.SeedSequence((seed, step, rank, part)).generate_state(1, np.uint64)[0] >> 1)


def vocabulary_head_chunks(num_masked: int, vocab_size: int, *, at_once: int = 1) -> list[slice]:
    """Slices of the masked slots whose logits over the whole vocabulary are computed together.

    at_once: so many slices.
    """
    rows = max(1, _EVALUATED_LOGITS // (vocab_size * at_once))
    return [slice(start, min(start + rows, num_masked)) for start in range(0, num_masked, rows)]


def vocabulary_parts(num_masked: int, vocab_size: int, *, in_cache: bool) -> list[slice]:
    """Slices of the vocabulary whose logits for all masked slots (at least one) are computed together."""
    rows = max(1, (_LOGITS_IN_CACHE if in_cache else _MAX_LOGITS) // num_masked)
    return [slice(start, min(start + rows, vocab_size)) for start in range(0, vocab_size, rows)]


def in_batch_order(
    batch: MaskedBatch, found: Iterable[tuple[Sequence[PackedPiece], Predictions]]
) -> Predictions:
    """Predictions of all patients, from those of pieces that ran together, one piece after the other.

    Theirs may have fewer top codes (K, at most TOP_CODES): a smaller vocabulary leaves -1 at the end.
    """
    mlm_loss_sum, los_loss_sum = 0.0, 0.0
    top_codes = np.full((len(batch.masked), TOP_CODES), -1, np.int32)
    scores = np.empty(batch.patients.num_patients, np.float32)
    for pieces, predictions in found:
        mlm_loss_sum += predictions.mlm_loss_sum
        los_loss_sum += predictions.los_loss_sum
        masked = np.concatenate([piece.masked for piece in pieces])
        top_codes[masked, : predictions.top_codes.shape[1]] = predictions.top_codes
        scores[np.concatenate([piece.patients for piece in pieces])] = predictions.prolonged_los_score
    return Predictions(mlm_loss_sum, los_loss_sum, top_codes, scores)


def step_result(
    mlm_loss_sum: float, los_loss_sum: float, gradient_norm: float, totals: StepTotals
) -> StepResult:
    """The step's result from sums over all ranks; they are the same on every rank, so all decide alike."""
    return StepResult(
        mlm_loss=mlm_loss_sum / max(totals.masked_codes, 1),
        los_loss=los_loss_sum / max(totals.patients, 1),
        gradient_norm=gradient_norm,
        applied=bool(np.isfinite([mlm_loss_sum, los_loss_sum, gradient_norm]).all()),
    )


def float16_scale(largest: float, ranks: int) -> float:
    """A power of two that takes gradients near the upper end of float16, but no sum over the ranks beyond it.

    largest: absolute value of any rank's gradient. Near 0 float16 has no bits left for what is small.
    """
    if not 0 < largest < math.inf:
        return 1.0
    return 2.0 ** max(-100, min(100, math.floor(math.log2(_LARGEST_FLOAT16 / (largest * ranks)))))


def weights_not_finite(names: Sequence[str]) -> str | None:
    """How Backend.find_anomaly names weights that are not finite before the step."""
    if not names:
        return None
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"a weight is not finite before the step: {', '.join(names[:3])}{more}"


def threads_per_process() -> int:
    """CPU threads of a process: OMP_NUM_THREADS where set, else this host's cores shared by its processes."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("HOROVOD_LOCAL_SIZE", 1)))


def gpu_of(world: World, gpus: int) -> int:
    """Which of this host's GPUs, of which there is at least one, is this process's. Raises ContractError."""
    if world.local_rank >= gpus:
        raise ContractError(
            f"rank {world.rank} is process {world.local_rank + 1} of its host, which has {gpus} GPU(s)",
            "where there are GPUs, each process of a host has one of its own",
            f"start at most {gpus} on such a host (NP, slots), or train on its CPU: CUDA_VISIBLE_DEVICES=-1",
        )
    return world.local_rank
