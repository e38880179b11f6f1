"""Which operation, layer or weight made the first value of a step that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from trainer.core.backend_rules import weights_not_finite
from trainer.torch_backend.regions import Watch

Gradients = tuple[torch.Tensor, dict[str, torch.Tensor]]
"""Loss sums (masked codes, prolonged stay), and the gradients by parameter."""


class _Anomaly(Exception):
    """Says where."""


def find(
    model: torch.nn.Module, parameters: Mapping[str, torch.Tensor], step: Callable[[Watch], Gradients]
) -> str | None:
    """Run a step of the model; None if everything in it is finite. It is run under PyTorch's anomaly mode."""
    names = {module: name for name, module in model.named_modules()}

    def watch(module: torch.nn.Module, read: torch.Tensor, made: torch.Tensor) -> None:
        where = f"{names[module]} ({type(module).__name__})"
        if not _is_finite(read):
            raise _Anomaly(f"forward pass: what {where} reads")
        if not _is_finite(made):
            raise _Anomaly(f"forward pass: {where}, though all that it reads is finite")

    bad_weights = weights_not_finite([name for name, value in parameters.items() if not _is_finite(value)])
    if bad_weights:
        return bad_weights
    try:
        with torch.autograd.detect_anomaly(check_nan=True):
            loss_sums, gradients = step(watch)
    except _Anomaly as anomaly:
        return str(anomaly)
    except RuntimeError as error:  # "Function 'DivBackward0' returned nan values in its 0th output."
        return f"backward pass: {error}"
    for name, loss in zip(("masked codes", "prolonged stay"), loss_sums, strict=True):
        if not _is_finite(loss):
            return f"loss of the {name}, though all that it is made of is finite"
    bad = [name for name, gradient in gradients.items() if not _is_finite(gradient)]
    return (
        f"backward pass: gradient of {bad[-1]}" if bad else None
    )  # the last in the network is the first made


def _is_finite(value: torch.Tensor) -> bool:
    return bool(value.isfinite().all())
