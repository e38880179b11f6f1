"""Dropout from 16 random bits a value: an eighth of the time that PyTorch's own takes on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

_STEPS = 1 << 16


class Dropout:
    """Draws what is kept. It depends on the seed and the order of the calls alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        # A tensor of device "meta" has no values, and nothing that draws them.
        self._generator = None if device.type == "meta" else torch.Generator(device).manual_seed(seed)
        torch.manual_seed(seed)  # for the fused attention of a GPU, which draws from PyTorch's own generator

    @staticmethod
    def scale(rate: float) -> float:
        """Times kept values, so that their mean stays. The rate is as 16 bits can say it."""
        return 1 / (1 - _dropped_steps(rate) / _STEPS)

    def bits(self, shape: Sequence[int], rate: float) -> torch.Tensor | None:
        """int16, for `kept_of`; None where nothing is dropped."""
        if not rate:
            return None
        count = math.prod(shape)
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=self._device)
        words.random_(-(1 << 63), None, generator=self._generator)
        return words.view(torch.int16)[:count].view(*shape)

    def kept(self, shape: Sequence[int], rate: float, dtype: torch.dtype) -> torch.Tensor | None:
        """1 where a value is kept, else 0; None where all are."""
        bits = self.bits(shape, rate)
        return None if bits is None else kept_of(bits, rate, dtype)


def kept_of(bits: torch.Tensor, rate: float, dtype: torch.dtype) -> torch.Tensor:
    """1 where a value is kept, else 0."""
    lowest = _dropped_steps(rate) - _STEPS // 2
    if torch.compiler.is_compiling():
        return (bits >= lowest).to(dtype)
    return torch.ge(bits, lowest, out=torch.empty(bits.shape, dtype=dtype, device=bits.device))


def _dropped_steps(rate: float) -> int:
    return min(round(rate * _STEPS), _STEPS - 1)
