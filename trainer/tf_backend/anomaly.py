"""Which operation, layer or weight made the first value of a step that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from trainer.core.backend_rules import weights_not_finite


class _Anomaly(Exception):
    """Says where."""


def find(weights: Mapping[str, tf.Variable], step: Callable[[], Any]) -> str | None:
    """Run a step, operation by operation; None if everything in it is finite.

    What tf.debugging.enable_check_numerics is made of. That itself would stop at the NaN which TensorFlow's
    deterministic losses hold in reserve, and it quotes the tensors, which are patients.
    """
    bad_weights = weights_not_finite([name for name, value in weights.items() if not _is_finite(value)])
    if bad_weights:
        return bad_weights
    op_callbacks.add_op_callback(_check)
    tf.config.run_functions_eagerly(True)
    try:
        step()
    except _Anomaly as anomaly:
        return str(anomaly)
    finally:
        tf.config.run_functions_eagerly(False)
        op_callbacks.remove_op_callback(_check)
    return None


def _check(
    op_type: str | bytes, inputs: Any, attrs: Any, outputs: Any, op_name: Any = None, graph: Any = None
) -> None:
    """Raises _Anomaly for an operation that makes what is not finite out of what is."""
    if graph is None and all(map(_is_finite, inputs)) and not all(map(_is_finite, outputs)):
        name = op_type.decode() if isinstance(op_type, bytes) else op_type
        layer = tf.get_current_name_scope().rstrip("/")
        where = f"forward pass, {layer}" if layer else "outside the layers (heads, backward pass)"
        raise _Anomaly(f"{where}: {name}, though all that it reads is finite")


def _is_finite(value: Any) -> bool:
    """Not looked into, and so taken for finite: whatever is no floating-point tensor."""
    if not (isinstance(value, tf.Tensor | tf.Variable) and value.dtype.is_floating):
        return True
    return bool(np.isfinite(value.numpy()).all())
