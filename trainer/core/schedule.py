"""The learning rate of each step."""

from __future__ import annotations


def learning_rate(step: int, *, peak: float, warmup_steps: int, steps: int) -> float:
    """Linear warm-up, then linear decay to 0 at `steps`. Source: BERT's optimization.py.

    step: of `steps`, from 1. As in BERT the rate belongs to the number of updates made before, so the first
    is 0, and the decay is counted from step 0, so the warm-up ends a little below the peak.
    """
    updates = step - 1
    if updates < warmup_steps:
        return peak * updates / warmup_steps
    return peak * max(0.0, 1 - updates / steps)
