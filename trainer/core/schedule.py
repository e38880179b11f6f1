"""The learning rate of each step."""

from __future__ import annotations


def learning_rate(done: int, *, peak: float, warmup: int, total: int) -> float:
    """Linear warm-up, then linear decay to 0 at `total`. Source: BERT's optimization.py.

    done: what came before the step, in steps or patients, as warmup and total are. As in BERT the first rate
    is 0, and the decay is counted from the beginning, so the warm-up ends a little below the peak.
    """
    if done < warmup:
        return peak * done / warmup
    return peak * max(0.0, 1 - done / total)
