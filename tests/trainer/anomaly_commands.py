"""What backend_process.py can be told to run: values that are not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from tests.trainer.small_models import SMALL, build, make_batch, totals_of, train, under
from trainer.core.backend import Backend


def anomalies(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Whether a step is finite and what find_anomaly says of it, spoilt in several ways."""
    model = build(backend, SMALL)
    before = model.named_weights()
    results = under("nothing", anomaly(model))
    for name, weight, value in (
        ("weight", "bert/embeddings/token_type_embeddings", np.nan),
        ("overflow", "bert/encoder/layer_1/intermediate/dense/kernel", 1e38),
    ):
        variable = variable_of(model, weight)
        fill(variable, value)
        results |= under(name, anomaly(model))
        fill(variable, before[weight])
    with mock.patch(_HEADS[backend], _SPOILT_HEADS[backend]()):
        results |= under("head", anomaly(model))
    results |= under("nothing_again", anomaly(model))
    after = model.named_weights()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    return results | {"changed": np.array(changed, dtype=str)}


_HEADS = {
    "torch": "trainer.torch_backend.vocabulary_head.loss_and_gradients",
    "tensorflow": "trainer.tf_backend.vocabulary_head.VocabularyHead.loss_and_gradients",
}


def _spoilt_torch_head() -> Callable[..., Any]:
    """A head whose loss is finite, but not what it hands back to the layers."""
    from trainer.torch_backend.vocabulary_head import loss_and_gradients

    def spoilt(*arguments: Any, **named: Any) -> Any:
        head = loss_and_gradients(*arguments, **named)
        return head._replace(hidden=(-1 - head.hidden.abs()).sqrt())

    return spoilt


def _spoilt_tensorflow_head() -> Callable[..., Any]:
    import tensorflow as tf

    from trainer.tf_backend.vocabulary_head import VocabularyHead

    loss_and_gradients = VocabularyHead.loss_and_gradients

    def spoilt(*arguments: Any, **named: Any) -> Any:
        head = loss_and_gradients(*arguments, **named)
        return head._replace(hidden=tf.sqrt(-1 - tf.abs(head.hidden)))

    return spoilt


_SPOILT_HEADS = {"torch": _spoilt_torch_head, "tensorflow": _spoilt_tensorflow_head}


def anomaly(model: Backend) -> dict[str, np.ndarray]:
    batch = make_batch(1, 8, 17)
    step = (model.pack(batch), totals_of(batch), 3)
    found = model.find_anomaly(*step)
    return {"finite": np.array(model.step_is_finite(*step)), "anomaly": np.array(str(found))}


def non_finite(model: Backend, *, poisoned: bool) -> dict[str, np.ndarray]:
    if poisoned:
        fill(variable_of(model, "cls/seq_relationship/output_bias"), np.nan)
    before = model.named_weights()
    applied = train(model, make_batch(1, 4, 9), 9).applied
    after = model.named_weights()
    changed = [name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)]
    return {"applied": np.array(applied), "changed": np.array(changed, dtype=str)}


def variable_of(model: Backend, name: str) -> Any:
    """A weight itself, by its TensorFlow name."""
    return vars(model).get("_parameters", vars(model).get("_weights"))[name]


def fill(variable: Any, value: Any) -> None:
    """Set a variable of either framework."""
    if hasattr(variable, "assign"):
        variable.assign(np.broadcast_to(np.float32(value), variable.shape))
    else:
        variable.data.numpy()[:] = value if np.shape(value) in ((), variable.shape) else value.T
