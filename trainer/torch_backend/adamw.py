"""BERT's AdamW: no bias correction, no decay on biases and layer norms, the whole gradient clipped."""

from __future__ import annotations

import torch
from torch.optim.adamw import adamw

from trainer.config import OptimizerConfig
from trainer.torch_backend.moments import Moments

_LATE = 1e9
"""At this step 1 - beta ** step is 1: PyTorch's fused AdamW without its bias correction."""


class AdamW(Moments):
    """The update is one pass over memory."""

    can_skip = True

    def __init__(self, parameters: dict[str, torch.nn.Parameter], config: OptimizerConfig) -> None:
        super().__init__(parameters, config)
        self._step = torch.tensor(_LATE, device=next(iter(parameters.values())).device)

    @torch.no_grad()
    def apply(
        self,
        gradients: dict[str, torch.Tensor],
        norm: torch.Tensor,
        learning_rate: float,
        step: int,
        skip: torch.Tensor | None = None,
    ) -> None:
        """Update every parameter in place. norm (): of the whole gradient. step: not needed.

        The gradients are used up. skip (): 1 where nothing is to be updated, else 0.
        """
        divisor = self._divisor(norm)
        for decayed, names in self._groups():
            adamw(
                [self._parameters[name] for name in names],
                [gradients[name] for name in names],
                [self.m[name] for name in names],
                [self.v[name] for name in names],
                max_exp_avg_sqs=[],
                state_steps=[self._step] * len(names),  # adding 1 changes nothing
                fused=True,
                grad_scale=divisor,
                found_inf=skip,
                amsgrad=False,
                beta1=self._config.beta_1,
                beta2=self._config.beta_2,
                lr=learning_rate,
                weight_decay=self._config.weight_decay if decayed else 0.0,
                eps=self._config.epsilon,
                maximize=False,
            )
