"""What backend_process.py can be told to run: each command gives the arrays that one rank ends up with."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np

from schemas.model_config import read_bert_config
from tests.trainer.anomaly_commands import anomaly, fill, non_finite, variable_of
from tests.trainer.checkpoint_commands import refusals, resume
from tests.trainer.small_models import (
    EMPTY,
    SMALL,
    STILL,
    build,
    forward_inputs,
    gradients_of,
    join,
    make_batch,
    patients_of,
    totals_of,
    train,
    under,
    without_masks,
)
from trainer.core import backend_rules
from trainer.core.backend import Backend
from trainer.core.input.batch import MaskedBatch
from trainer.core.world import detect_world


def alone(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Everything that one process can show without reference data."""
    results: dict[str, np.ndarray] = {}
    batch = join(make_batch(1, 8, 17), make_batch(2, 3, 30))
    for pooling in ("first", "mean", "sum"):
        results |= under(
            f"parity/{pooling}", _parity(build(backend, replace(STILL, los_pooling=pooling)), batch)
        )
    model = build(backend, replace(STILL, los_pooling="mean"))
    results |= under("pooler/as_built", gradients_of(model, batch))
    fill(variable_of(model, "bert/pooler/dense/kernel"), 0.1)
    results |= under("pooler/filled", gradients_of(model, batch))
    for activation in ("relu", "tanh", "linear"):
        results |= under(
            f"parity/{activation}", _parity(build(backend, replace(STILL, hidden_act=activation)), batch)
        )
    long = join(make_batch(1, 8, 17), make_batch(2, 3, 60), make_batch(3, 2, 120))
    wide = replace(STILL, max_position_embeddings=128, type_vocab_size=50)
    results |= under("parity/several_widths", _parity(build(backend, wide), long))
    results |= under("predictions", _predictions(build(backend, SMALL)))
    results |= under("forward", build(backend, STILL).forward(forward_inputs()))
    model = build(backend, STILL)
    results |= under("steps", _steps(model))
    results |= under("non_finite", non_finite(model, poisoned=True))
    if backend == "tensorflow":
        pieces = model._gradients._network._pieces
        results["tracings"] = np.array([piece.experimental_get_tracing_count() for piece in pieces])
    results |= under("resume", resume(backend, folder))
    results |= under("five_steps", _five_steps(build(backend, STILL), slice(None)))
    results |= under("refusals", refusals(backend, folder))
    return results


def threads(backend: str, folder: str) -> dict[str, np.ndarray]:
    """What must not depend on the number of threads; and with dropout, a step and again."""
    batch = join(make_batch(1, 80, 17), make_batch(2, 3, 30), make_batch(3, 1, 5))
    model = build(backend, STILL)
    results = under("gradients", gradients_of(model, batch))
    results |= under("predictions", vars(model.predict(make_batch(4, 70, 20))))
    for name in ("first", "again"):
        results |= under(name, gradients_of(build(backend, SMALL), batch))
    return results


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
    results |= under("non_finite", non_finite(model, poisoned=not first))
    results |= under("own_part", anomaly(model))
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


def _parity(model: Backend, batch: MaskedBatch) -> dict[str, np.ndarray]:
    gradients = gradients_of(model, batch)
    result = train(model, batch)
    return under("gradients", gradients) | {
        "losses": np.array([result.mlm_loss, result.los_loss]),
        "gradient_norm": np.array(result.gradient_norm),
        **under("weights", model.named_weights()),
    }


def _predictions(model: Backend) -> dict[str, np.ndarray]:
    """Of a batch, and of its patients one at a time."""
    batch = make_batch(1, 60, 17)
    alone = [vars(model.predict(patients_of(batch, slice(row, row + 1)))) for row in range(60)]
    return {
        **vars(model.predict(batch)),
        "masked_codes": np.array(len(batch.masked)),
        **{
            f"alone/{name}": np.concatenate([one[name] for one in alone])
            for name in ("top_codes", "prolonged_los_score")
        },
        **{
            f"alone/{name}": np.sum([one[name] for one in alone]) for name in ("mlm_loss_sum", "los_loss_sum")
        },
        "nobody": model.predict(EMPTY).top_codes,
        "nothing_masked": model.predict(without_masks(batch)).top_codes,
    }


def _steps(model: Backend) -> dict[str, np.ndarray]:
    """The gradients of one step, its patients in another order or without some of what it has."""
    whole = make_batch(3, 9, 20)
    totals = totals_of(whole)
    batches = {
        "one": whole,
        "shuffled": join(*(patients_of(whole, slice(*rows)) for rows in ((7, 9), (0, 0), (2, 7), (0, 2)))),
        "nobody": EMPTY,
        "nothing_masked": without_masks(whole),
    }
    results: dict[str, np.ndarray] = {}
    for name, batch in batches.items():
        results |= under(name, gradients_of(model, batch, totals=totals))
    few = 4 * SMALL.vocab_size
    with mock.patch.multiple(backend_rules, _LOGITS_IN_CACHE=few, _MAX_LOGITS=few, _EVALUATED_LOGITS=few):
        results |= under("head_in_chunks", gradients_of(model, whole))
        predictions = model.predict(whole)
    results["top_codes/in_chunks"] = predictions.top_codes
    results["top_codes/at_once"] = model.predict(whole).top_codes
    with_nobody = train(model, EMPTY)
    return results | {"loss_of_nobody": np.array([with_nobody.mlm_loss, with_nobody.los_loss])}


def _five_steps(model: Backend, rows: slice) -> dict[str, np.ndarray]:
    results = []
    for step in range(1, 6):
        whole = make_batch(step, 9, 14)
        result = train(model, patients_of(whole, rows), step, totals_of(whole))
        results.append([result.mlm_loss, result.los_loss, result.gradient_norm])
    return under("weights", model.named_weights()) | {"results": np.array(results)}


def _first_gradient(model: Backend) -> np.ndarray:
    """Of the same patients on every rank: what differs is the dropout."""
    return gradients_of(model, make_batch(1, 8, 17), 7)["bert/pooler/dense/kernel"]
