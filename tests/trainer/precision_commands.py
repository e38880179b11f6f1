"""What backend_process.py can be told to run in another precision than float32."""

from __future__ import annotations

from unittest import mock

import numpy as np

from tests.trainer.small_models import LEARNING_RATE, SMALL, STILL, build, make_block, totals_of, under
from trainer.core import backend_rules


def precisions(backend: str, folder: str) -> dict[str, np.ndarray]:
    """A step's gradients and the losses of 30 steps, in float32 and in bfloat16."""
    blocks = [make_block(1, 8, 17), make_block(2, 3, 30)]
    results: dict[str, np.ndarray] = {}
    for precision in ("float32", "bfloat16"):
        model = build(backend, STILL, seed=0, precision=precision)
        gradients = model.named_gradients(blocks, totals_of(blocks), 1)
        with mock.patch.object(backend_rules, "_MAX_LOGITS", 4 * SMALL.vocab_size):
            in_chunks = model.named_gradients(blocks, totals_of(blocks), 1)
        losses = [
            [step.mlm_loss, step.los_loss]
            for step in (model.train_step(blocks, totals_of(blocks), LEARNING_RATE, n + 1) for n in range(30))
        ]
        results |= under(f"{precision}/gradients", gradients) | {f"{precision}/losses": np.array(losses)}
        results |= under(f"{precision}/in_chunks", in_chunks)
        results |= {f"{precision}/is_float32": np.array([w.dtype == np.float32 for w in gradients.values()])}
    return results
