"""Which operation, layer or weight made the first value of a step that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from trainer.core.backend_rules import weights_not_finite

Gradients = tuple[torch.Tensor, dict[str, torch.Tensor]]
"""Loss sums (masked codes, prolonged stay), and the gradients by parameter."""


class _Anomaly(Exception):
    """Says where."""


def find(
    model: torch.nn.Module, parameters: Mapping[str, torch.Tensor], step: Callable[[], Gradients]
) -> str | None:
    """Run a step of the model; None if everything in it is finite. It is run under PyTorch's anomaly mode."""
    bad_weights = weights_not_finite([name for name, value in parameters.items() if not _is_finite(value)])
    if bad_weights:
        return bad_weights
    try:
        with _watched(model), torch.autograd.detect_anomaly(check_nan=True):
            loss_sums, gradients = step()
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


@contextmanager
def _watched(model: torch.nn.Module) -> Iterator[None]:
    """Raises _Anomaly at the first module that reads or gives what is not finite: inner ones come first."""

    def before(module: torch.nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        if not _is_finite(arguments, named):
            raise _Anomaly(f"forward pass: what {_name(module)} reads")

    def after(module: torch.nn.Module, arguments: tuple, output: Any) -> None:
        if not _is_finite(output):
            raise _Anomaly(f"forward pass: {_name(module)}, though all that it reads is finite")

    names = {module: name for name, module in model.named_modules()}

    def _name(module: torch.nn.Module) -> str:
        return f"{names[module]} ({type(module).__name__})"

    handles = []
    for module in names:
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(*values: Any) -> bool:
    """Whether all floating-point tensors in there are; lists, tuples and dictionaries are looked into."""
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.is_floating_point() and not bool(value.isfinite().all()):
                return False
        elif isinstance(value, dict):
            if not _is_finite(*value.values()):
                return False
        elif isinstance(value, tuple | list) and not _is_finite(*value):
            return False
    return True
