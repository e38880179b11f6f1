"""What both optimisers keep of every parameter."""

from __future__ import annotations

import torch

from trainer.config import OptimizerConfig
from trainer.core.backend_rules import is_decayed


class Moments:
    """m and v, running means of the gradient and of its square, by TensorFlow name."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter], config: OptimizerConfig) -> None:
        self._parameters, self._config = parameters, config
        self.m = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
        self.v = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}

    def _divisor(self, norm: torch.Tensor) -> torch.Tensor:
        """() of every gradient, so that the whole one is no longer than clip_norm. norm (): its own."""
        return (norm / self._config.clip_norm).clamp(min=1.0)

    def _groups(self) -> list[tuple[bool, list[str]]]:
        """Whether they are decayed, and the parameters."""
        return [(kind, [n for n in self._parameters if is_decayed(n) == kind]) for kind in (True, False)]
