"""LAMB: Adam whose update of each variable is as long as the variable itself, for very large batches.

Source: You et al. 2020, algorithm 2. Biases and layer norms are not decayed, and their update is Adam's.
"""

from __future__ import annotations

import torch

from trainer.torch_backend.moments import Moments


class Lamb(Moments):
    """The update is a list of operations, each over all parameters."""

    can_skip = False
    """Whether the device can decide that there is no update. Steps of LAMB are large: asking is cheap."""

    @torch.no_grad()
    def apply(
        self,
        gradients: dict[str, torch.Tensor],
        norm: torch.Tensor,
        learning_rate: float,
        step: int,
        skip: torch.Tensor | None = None,
    ) -> None:
        """Update every parameter in place. norm (): of the whole gradient. step: from 1. The gradients are
        used up. skip: see can_skip."""
        assert skip is None
        config, divisor = self._config, self._divisor(norm)
        for decayed, names in self._groups():
            parameters = [self._parameters[name] for name in names]
            found, m, v = ([slots[name] for name in names] for slots in (gradients, self.m, self.v))
            torch._foreach_div_(found, divisor)
            torch._foreach_lerp_(m, found, 1 - config.beta_1)
            torch._foreach_mul_(v, config.beta_2)
            torch._foreach_addcmul_(v, found, found, 1 - config.beta_2)
            del found
            divisors = torch._foreach_div(v, 1 - config.beta_2**step)
            torch._foreach_sqrt_(divisors)
            torch._foreach_add_(divisors, config.epsilon)
            updates = torch._foreach_div(m, 1 - config.beta_1**step)
            torch._foreach_div_(updates, divisors)
            del divisors
            if decayed:
                torch._foreach_add_(updates, parameters, alpha=config.weight_decay)
                torch._foreach_mul_(updates, _trust(parameters, updates))
            torch._foreach_add_(parameters, updates, alpha=-learning_rate)


def _trust(parameters: list[torch.nn.Parameter], updates: list[torch.Tensor]) -> list[torch.Tensor]:
    """For each variable its own norm over its update's; 1 where one of them is 0."""
    sizes, update_sizes = (
        torch.stack(torch._foreach_norm(parameters)),
        torch.stack(torch._foreach_norm(updates)),
    )
    both = (sizes > 0) & (update_sizes > 0)
    return list(torch.where(both, sizes / update_sizes, 1.0).unbind())
