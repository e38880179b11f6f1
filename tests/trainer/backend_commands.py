"""What backend_process.py can be told to run: each command gives the arrays that one rank ends up with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from schemas.model_config import read_bert_config
from tests.trainer.small_models import (
    EMPTY,
    LEARNING_RATE,
    SMALL,
    STILL,
    build,
    make_block,
    patients_of,
    totals_of,
    under,
    wider,
    without_masks,
)
from trainer.core import backend_rules
from trainer.core.backend import Backend, StepTotals
from trainer.core.world import detect_world


def alone(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Everything that one process can show without reference data."""
    results: dict[str, np.ndarray] = {}
    for pooling in ("first", "mean", "sum"):
        results |= under(f"parity/{pooling}", _parity(build(backend, replace(STILL, los_pooling=pooling))))
    results |= under("predictions", _predictions(build(backend, SMALL)))
    results |= under("forward", build(backend, STILL).forward(_forward_inputs()))
    model = build(backend, STILL)
    results |= under("blocks", _blocks(model))
    results |= under("non_finite", _non_finite(model, poisoned=True))
    if backend == "tensorflow":
        results["tracings"] = np.array(model._gradients._encode.experimental_get_tracing_count())
    results |= under("resume", _resume(backend, folder))
    results |= under("five_steps", _five_steps(build(backend, STILL), slice(None)))
    results |= under("refusals", _refusals(backend, folder))
    return results


def anomalies(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Whether a step is finite and what find_anomaly says of it, spoilt in several ways."""
    model = build(backend, SMALL)
    before = model.named_weights()
    results = under("nothing", _anomaly(model))
    for name, weight, value in (
        ("weight", "bert/embeddings/token_type_embeddings", np.nan),
        ("overflow", "bert/encoder/layer_1/intermediate/dense/kernel", 1e38),
    ):
        variable = _variable(model, weight)
        _fill(variable, value)
        results |= under(name, _anomaly(model))
        _fill(variable, before[weight])
    with mock.patch(_HEADS[backend], _SPOILT_HEADS[backend]()):
        results |= under("head", _anomaly(model))
    results |= under("nothing_again", _anomaly(model))
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


def _anomaly(model: Backend) -> dict[str, np.ndarray]:
    blocks = [make_block(1, 8, 17), EMPTY]
    step = (blocks, totals_of(blocks), 3)
    found = model.find_anomaly(*step)
    return {"finite": np.array(model.step_is_finite(*step)), "anomaly": np.array(str(found))}


def _variable(model: Backend, name: str) -> Any:
    """A weight itself, by its TensorFlow name."""
    return vars(model).get("_parameters", vars(model).get("_weights"))[name]


def _fill(variable: Any, value: Any) -> None:
    """Set a variable of either framework."""
    if hasattr(variable, "assign"):
        variable.assign(np.broadcast_to(np.float32(value), variable.shape))
    else:
        variable.data.numpy()[:] = value if np.shape(value) in ((), variable.shape) else value.T


def pretrained(backend: str, folder: str) -> dict[str, np.ndarray]:
    """What transformers makes of a checkpoint of the PyTorch backend, beside the backend itself."""
    import torch
    import transformers

    model = build(backend, STILL)
    model.train_step([make_block(1, 8, 17)], StepTotals(10, 8), LEARNING_RATE, 1)
    model.save(folder, 1)
    with open(f"{folder}/config.json", "w", encoding="utf-8") as stream:
        json.dump({"model_type": "bert", **STILL.to_dict()}, stream)
    inputs = _forward_inputs()
    names = ("input_ids", "attention_mask", "token_type_ids")
    with torch.no_grad():
        outputs = transformers.AutoModelForPreTraining.from_pretrained(folder)(
            **{name: torch.tensor(inputs[name]).long() for name in names}
        )
    masked = outputs.prediction_logits[inputs["masked_rows"], inputs["masked_columns"]]
    return under("backend", model.forward(inputs)) | {
        "mlm_log_probs": masked.log_softmax(-1).numpy(),
        "los_log_probs": outputs.seq_relationship_logits.log_softmax(-1).numpy(),
    }


def variables(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Every variable of a checkpoint of the TensorFlow backend."""
    import tensorflow as tf

    model = build(backend, STILL)
    model.train_step([make_block(1, 8, 17)], StepTotals(10, 8), LEARNING_RATE, 1)
    model.save(folder, 7)
    reader = tf.train.load_checkpoint(f"{folder}/model.ckpt-7")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def together(backend: str, folder: str) -> dict[str, np.ndarray]:
    """What each of two ranks ends up with, each with its half of the patients of every step."""
    world = detect_world()
    first = world.rank == 0
    model = build(backend, STILL, seed=5 if first else 6)
    before = model.named_weights()
    model.broadcast_weights()
    half = slice(0, 4) if first else slice(4, None)
    results = under("five_steps", _five_steps(model, half))
    results |= under("one_idle", _five_steps(build(backend, STILL), slice(None) if first else slice(0, 0)))
    model = build(backend, SMALL)
    results |= under("with_dropout", _five_steps(model, half))
    results |= under("non_finite", _non_finite(model, poisoned=not first))
    results |= under("own_part", _anomaly(model))
    return results | {
        "before_broadcast": before["bert/pooler/dense/kernel"],
        "sums": model.all_reduce("test sums/1", np.array([1.5, 2.0**40 + world.rank])),
        "sizes": np.concatenate([model.all_reduce("sizes", np.ones(size)) for size in (2, 0, 3)]),
        "counts": model.all_reduce("counts", np.array(2**60 + world.rank)),
        "size": np.array(world.size),
        "dropout_differs": _first_gradient(model),
    }


def reference(backend: str, folder: str, shared: str) -> dict[str, np.ndarray]:
    """The original trainer's checkpoint run on the inputs of its own reference."""
    source = f"{shared}/checkpoints/medbert_tf1"
    model = build(backend, read_bert_config(f"{source}/bert_config.json"))
    model.load_weights(f"{source}/model.ckpt-300")
    given = np.load(f"{source}/reference.npz")
    masked_rows, _ = np.indices(given["masked_lm_positions"].shape)
    return model.forward(
        {
            "input_ids": given["input_ids"],
            "attention_mask": given["input_mask"],
            "token_type_ids": given["segment_ids"],
            "masked_rows": masked_rows.flatten(),
            "masked_columns": given["masked_lm_positions"].flatten(),
            "masked_labels": given["masked_lm_ids"].flatten(),
            "prolonged_los": given["los_labels"].flatten(),
        }
    )


def _parity(model: Backend) -> dict[str, np.ndarray]:
    blocks = [make_block(1, 8, 17), make_block(2, 3, 30)]
    gradients = model.named_gradients(blocks, totals_of(blocks), 1)
    result = model.train_step(blocks, totals_of(blocks), LEARNING_RATE, 1)
    return under("gradients", gradients) | {
        "losses": np.array([result.mlm_loss, result.los_loss]),
        "gradient_norm": np.array(result.gradient_norm),
        **under("weights", model.named_weights()),
    }


def _predictions(model: Backend) -> dict[str, np.ndarray]:
    return {
        **vars(model.predict(make_block(1, 8, 17))),
        "nobody": model.predict(EMPTY).top_codes,
        "nothing_masked": model.predict(without_masks(make_block(1, 8, 17))).top_codes,
    }


def _forward_inputs() -> dict[str, np.ndarray]:
    block = make_block(4, 6, 12)
    rows, columns = np.divmod(block.masked_positions, 12)
    return {
        "input_ids": block.input_ids,
        "attention_mask": (np.arange(12) < block.lengths[:, None]).astype(np.int32),
        "token_type_ids": block.visit_numbers,
        "masked_rows": rows,
        "masked_columns": columns,
        "masked_labels": block.masked_labels,
        "prolonged_los": block.prolonged_los,
    }


def _blocks(model: Backend) -> dict[str, np.ndarray]:
    """One step's gradients, its patients cut into blocks in several ways."""
    whole = make_block(3, 9, 20)
    totals = totals_of([whole])
    cuts = {
        "one": [whole],
        "three": [patients_of(whole, slice(*rows)) for rows in ((0, 2), (2, 3), (3, 9))],
        "with_empty": [EMPTY, patients_of(whole, slice(0, 7)), EMPTY, patients_of(whole, slice(7, 9))],
        "wider": [wider(whole)],
        "none": [],
        "nobody": [EMPTY],
        "nothing_masked": [without_masks(whole)],
    }
    results: dict[str, np.ndarray] = {}
    for name, blocks in cuts.items():
        results |= under(name, model.named_gradients(blocks, totals, 1))
    with mock.patch.object(backend_rules, "_MAX_LOGITS", 4 * SMALL.vocab_size):
        results |= under("head_in_chunks", model.named_gradients([whole], totals, 1))
        predictions = model.predict(whole)
    results["top_codes/in_chunks"] = predictions.top_codes
    results["top_codes/at_once"] = model.predict(whole).top_codes
    with_nobody = model.train_step([EMPTY], StepTotals(0, 0), LEARNING_RATE, 1)
    return results | {"loss_of_nobody": np.array([with_nobody.mlm_loss, with_nobody.los_loss])}


def _resume(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Steps 1 to 5, and steps 4 and 5 again by another model that starts from the checkpoint of step 3."""
    model = build(backend, SMALL)
    files: list[str] = []
    for step in range(1, 6):
        undisturbed = _step(model, step)
        if step == 3:
            files = model.save(f"{folder}/checkpoint", 3)
            model.save("memory://checkpoint", 3)
    results = {"files": np.array(files), "undisturbed/last_loss": undisturbed}
    results |= under("undisturbed", model.named_weights())
    model = build(backend, SMALL)
    for name, source in (("resumed", f"{folder}/checkpoint"), ("from_memory", "memory://checkpoint")):
        model.load(source, 3)
        for step in (4, 5):
            last = _step(model, step)
        results |= under(name, model.named_weights()) | {f"{name}/last_loss": last}
    return results


def _step(model: Backend, step: int) -> np.ndarray:
    blocks = [make_block(step, 8, 13), make_block(50 + step, 4, 22)]
    result = model.train_step(blocks, totals_of(blocks), LEARNING_RATE, step)
    return np.array([result.mlm_loss, result.los_loss, result.gradient_norm])


def _five_steps(model: Backend, rows: slice) -> dict[str, np.ndarray]:
    results = []
    for step in range(1, 6):
        whole = make_block(step, 9, 14)
        result = model.train_step([patients_of(whole, rows)], totals_of([whole]), LEARNING_RATE, step)
        results.append([result.mlm_loss, result.los_loss, result.gradient_norm])
    return under("weights", model.named_weights()) | {"results": np.array(results)}


def _first_gradient(model: Backend) -> np.ndarray:
    """Of the same patients on every rank: what differs is the dropout."""
    block = make_block(1, 8, 17)
    return model.named_gradients([block], totals_of([block]), 7)["bert/pooler/dense/kernel"]


def _non_finite(model: Backend, *, poisoned: bool) -> dict[str, np.ndarray]:
    if poisoned:
        _fill(_variable(model, "cls/seq_relationship/output_bias"), np.nan)
    before = model.named_weights()
    block = make_block(1, 4, 9)
    applied = model.train_step([block], totals_of([block]), LEARNING_RATE, 9).applied
    after = model.named_weights()
    changed = [name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)]
    return {"applied": np.array(applied), "changed": np.array(changed, dtype=str)}


def _refusals(backend: str, folder: str) -> dict[str, np.ndarray]:
    """The messages for checkpoints that do not fit."""
    source = f"{folder}/checkpoint"
    prefix = f"{source}/model.ckpt-3" if backend == "tensorflow" else source
    one_layer, wide = replace(SMALL, num_hidden_layers=1), replace(SMALL, vocab_size=98)
    attempts = {
        "unknown": lambda: build(backend, one_layer).load_weights(prefix),
        "missing": lambda: build(backend, replace(SMALL, num_hidden_layers=3)).load_weights(prefix),
        "misshapen": lambda: build(backend, wide).load_weights(prefix),
        "misshapen_on_resume": lambda: build(backend, wide).load(source, 3),
        "absent": lambda: build(backend, SMALL).load_weights(f"{folder}/nowhere/model.ckpt-3"),
        "absent_on_resume": lambda: build(backend, SMALL).load(f"{folder}/nowhere", 3),
        "truncated": lambda: build(backend, SMALL).load(_truncated(source, f"{folder}/truncated"), 3),
    }
    messages = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except ValueError as error:
            messages[name] = np.array(f"{type(error).__name__}: {error}")
    kept = build(backend, SMALL, seed=8)
    kept.load_weights(prefix)
    return messages | under("loaded", kept.named_weights())


def _truncated(source: str, target: str) -> str:
    os.makedirs(target)
    for name in os.listdir(source):
        with open(f"{source}/{name}", "rb") as stream:
            content = stream.read()
        with open(f"{target}/{name}", "wb") as stream:
            stream.write(content[: len(content) // 2])
    return target
