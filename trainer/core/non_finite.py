"""A loss or gradient that is not a number stops every rank before the update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from schemas.errors import ContractError
from trainer.core.backend import Backend
from trainer.core.batch import MaskedBatch
from trainer.core.together import failure_flags
from trainer.core.world import World


class NotFinite(ContractError):
    """A loss or the gradient became infinite or no number."""

    def __init__(self, step: int, ranks: Sequence[int], go_on_from: str) -> None:
        where = (
            f"on rank {', '.join(map(str, ranks))}"
            if ranks
            else "in the gradient; every rank's loss is finite"
        )
        super().__init__(
            f"step {step} gave a value that is not finite ({where})",
            "such an update is not applied, and training stops on every rank",
            f"lower optimizer.learning_rate or raise optimizer.warmup_steps, and start again: {go_on_from}",
        )


def ranks_not_finite(backend: Backend, world: World, blocks: Sequence[MaskedBatch]) -> list[int]:
    """The ranks whose own patients give a loss that is not finite (dropout off). Every rank must ask."""
    failed = False
    for block in blocks:
        predictions = backend.predict(block)
        failed |= not math.isfinite(predictions.mlm_loss_sum + predictions.los_loss_sum)
    return np.flatnonzero(backend.all_reduce("not_finite", failure_flags(world, failed))).tolist()
