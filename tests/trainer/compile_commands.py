"""What backend_process.py can be told to run of PyTorch's compiled steps, and of a GPU's without a GPU."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np

from schemas.errors import ContractError
from tests.trainer.checkpoint_commands import resume
from tests.trainer.small_models import (
    LEARNING_RATE,
    SMALL,
    build,
    gradients_of,
    join,
    make_batch,
    totals_of,
    train,
    under,
)
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.slots import pack_batch

WIDE = replace(SMALL, max_position_embeddings=128, type_vocab_size=50, los_pooling="mean")


def several_shapes(step: int) -> MaskedBatch:
    """Other patients, rows and numbers of masked codes at each step."""
    wide = [make_batch(step + 9, 3, 40 + 20 * step)] if step % 2 else []
    return join(make_batch(step, 20 * step, 17), *wide)


def compiled(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Gradients and losses of steps of different shapes, dropout included, compiled and not; compilations."""
    from torch._dynamo.utils import counters

    results: dict[str, np.ndarray] = {}
    for precision in ("float32", "bfloat16"):
        models = {
            kind: build(backend, WIDE, precision=precision, compile=kind == "compiled")
            for kind in ("compiled", "plain")
        }
        graphs = []
        for step in range(1, 6):
            batch = several_shapes(step)
            for kind, model in models.items():
                name = f"{precision}/{kind}/{step}"
                results |= under(f"{name}/gradients", gradients_of(model, batch, step))
                result = train(model, batch, step)
                results[f"{name}/losses"] = np.array([result.mlm_loss, result.los_loss])
            graphs.append(counters["stats"]["unique_graphs"])
        results[f"{precision}/graphs"] = np.array(graphs)
    return results


def compiled_resume(backend: str, folder: str) -> dict[str, np.ndarray]:
    """See checkpoint_commands.resume; every model is compiled."""
    from tests.trainer import checkpoint_commands

    def build_compiled(*arguments, **options):  # type: ignore[no-untyped-def]
        return build(*arguments, **options, compile=True)

    with mock.patch.object(checkpoint_commands, "build", build_compiled):
        return resume(backend, folder)


def no_compiler(backend: str, folder: str) -> dict[str, np.ndarray]:
    """What is said where there is no compiler."""
    from torch._inductor import config

    with mock.patch.object(config.cpp, "cxx", ("/no/such/compiler",)):
        try:
            build(backend, SMALL, compile=True)
        except ContractError as error:
            return {"said": np.array(str(error))}
    return {"said": np.array("nothing")}


def step_without_values(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Operations of a step on tensors that have no values: nothing in it may ask for one, and so wait.

    They are of device "meta", of which every operation takes the way of a GPU.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from trainer.config import OptimizerConfig
    from trainer.torch_backend.adamw import AdamW
    from trainer.torch_backend.gradients import step_gradients
    from trainer.torch_backend.model import build_model, tensorflow_named_parameters

    class Operations(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.number = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.number += 1
            return function(*args, **(kwargs or {}))

    results = {}
    for pooling in ("first", "mean", "sum"):
        config = replace(WIDE, los_pooling=pooling)
        model = build_model(config).to("meta")
        parameters = tensorflow_named_parameters(model, config)
        optimizer = AdamW(parameters, OptimizerConfig())
        batch = join(make_batch(1, 80, 17), make_batch(2, 3, 100))
        ((piece,),) = pack_batch(batch, 1 << 20).parts
        with Operations() as operations:
            losses, gradients = step_gradients(model, parameters, piece, totals_of(batch), 1, torch.bfloat16)
            norm = torch.nn.utils.get_total_norm(list(gradients.values()))
            failed = 1 - torch.cat([losses, norm[None]]).isfinite().all().float()
            optimizer.apply(gradients, norm, LEARNING_RATE, 1, skip=failed)
        results[pooling] = np.array(operations.number)
        try:
            losses.tolist()
            results[f"{pooling}/asking"] = np.array("works")
        except (RuntimeError, NotImplementedError):
            results[f"{pooling}/asking"] = np.array("fails")
    return results


def begun(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Weights and slots after steps that are begun before the last one's result is read; the third is bad."""
    batch = make_batch(1, 8, 17)
    plain, ahead = build(backend, SMALL), build(backend, SMALL)
    results: dict[str, np.ndarray] = {}
    for step in (1, 2):
        train(plain, batch, step)

    def begin(step: int):  # type: ignore[no-untyped-def]
        return ahead.begin_step(ahead.pack(batch), totals_of(batch), LEARNING_RATE, step)

    waiting = [begin(step) for step in (1, 2)]
    results |= under("plain", plain.snapshot()) | under("ahead", ahead.snapshot())
    with mock.patch("trainer.torch_backend.backend.step_gradients", _not_finite):
        waiting.append(begin(3))
    waiting.append(begin(4))
    results |= under("after_bad", ahead.snapshot())
    found = [read() for read in waiting]
    return {name: np.asarray(value) for name, value in results.items()} | {
        "applied": np.array([result.applied for result in found]),
        "runs_ahead": np.array(ahead.runs_ahead),
    }


def _not_finite(*arguments, **options):  # type: ignore[no-untyped-def]
    from trainer.torch_backend.gradients import step_gradients

    losses, gradients = step_gradients(*arguments, **options)
    return losses * float("nan"), gradients
