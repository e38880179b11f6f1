"""What backend_process.py can be told to run in another precision than float32."""

from __future__ import annotations

from unittest import mock

import numpy as np

from tests.trainer.small_models import SMALL, STILL, build, gradients_of, join, make_batch, train, under
from trainer.core import backend_rules


def precisions(backend: str, folder: str) -> dict[str, np.ndarray]:
    """A step's gradients and the losses of 30 steps, in float32 and in bfloat16."""
    batch, few = join(make_batch(1, 8, 17), make_batch(2, 3, 30)), 4 * SMALL.vocab_size
    results: dict[str, np.ndarray] = {}
    for precision in ("float32", "bfloat16"):
        model = build(backend, STILL, seed=0, precision=precision)
        gradients = gradients_of(model, batch)
        with mock.patch.multiple(backend_rules, _LOGITS_IN_CACHE=few, _MAX_LOGITS=few):
            in_chunks = gradients_of(model, batch)
        losses = [[step.mlm_loss, step.los_loss] for step in (train(model, batch, n + 1) for n in range(30))]
        results |= under(f"{precision}/gradients", gradients) | {f"{precision}/losses": np.array(losses)}
        results |= under(f"{precision}/in_chunks", in_chunks)
        results |= {f"{precision}/is_float32": np.array([w.dtype == np.float32 for w in gradients.values()])}
    return results
