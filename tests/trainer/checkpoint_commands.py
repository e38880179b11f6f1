"""What backend_process.py can be told to run: what backends write and read."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np

from schemas.model import read_model_tokens
from tests.trainer.small_models import (
    SMALL,
    STILL,
    build,
    forward_inputs,
    join,
    make_batch,
    train,
    under,
)
from trainer.core.backend import Backend


def pretrained(backend: str, folder: str) -> dict[str, np.ndarray]:
    """What transformers makes of a checkpoint of the PyTorch backend, beside the backend itself."""
    import torch
    import transformers

    model = build(backend, STILL)
    train(model, make_batch(1, 8, 17))
    model.save(folder, 1)
    with open(f"{folder}/config.json", "w", encoding="utf-8") as stream:
        json.dump({"model_type": "bert", **STILL.to_dict()}, stream)
    inputs = forward_inputs()
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


def saved_by_transformers(backend: str, folder: str) -> dict[str, np.ndarray]:
    """The weights of a backend that starts from a folder that transformers saved, and the tokens there."""
    import tokenizers
    import transformers

    model, saved = build(backend, STILL), f"{folder}/saved"
    train(model, make_batch(1, 8, 17))
    model.save(folder, 1)
    with open(f"{folder}/config.json", "w", encoding="utf-8") as stream:
        json.dump({"model_type": "bert", **STILL.to_dict()}, stream)
    transformers.AutoModelForPreTraining.from_pretrained(folder).save_pretrained(saved)
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({f"code {i}": i for i in range(97)}))
    transformers.PreTrainedTokenizerFast(tokenizer_object=core, pad_token="code 0").save_pretrained(saved)
    started = build(backend, STILL, seed=6)
    started.load_weights(saved)
    tokens = np.array(read_model_tokens(saved))
    return (
        under("expected", model.named_weights())
        | under("found", started.named_weights())
        | {"tokens": tokens, "files": np.array(os.listdir(saved))}
    )


def variables(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Every variable of a checkpoint of the TensorFlow backend."""
    import tensorflow as tf

    model = build(backend, STILL)
    train(model, make_batch(1, 8, 17))
    model.save(folder, 7)
    reader = tf.train.load_checkpoint(f"{folder}/model.ckpt-7")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def resume(backend: str, folder: str) -> dict[str, np.ndarray]:
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
    result = train(model, join(make_batch(step, 8, 13), make_batch(50 + step, 4, 22)), step)
    return np.array([result.mlm_loss, result.los_loss, result.gradient_norm])


def refusals(backend: str, folder: str) -> dict[str, np.ndarray]:
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
