"""What backend_process.py can be told to run of large batches: LAMB, steps in parts, gradients in 16 bits."""

from __future__ import annotations

import numpy as np

from tests.trainer.small_models import (
    SMALL,
    STILL,
    build,
    gradients_of,
    join,
    make_batch,
    patients_of,
    totals_of,
    train,
    under,
)
from trainer.config import OptimizerConfig
from trainer.core.backend import Backend
from trainer.core.world import detect_world

LAMB = OptimizerConfig(name="lamb", weight_decay=0.1, clip_norm=0.5)


def lamb(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Gradients and weights of three steps, and what a resumed run makes of the third."""
    model = build(backend, STILL, optimizer=LAMB)
    results = under("0/weights", model.named_weights())
    for step in (1, 2, 3):
        if step == 3:
            model.save(folder, 2)
        batch = join(make_batch(step, 8, 17), make_batch(50 + step, 3, 30))
        results |= under(f"{step}/gradients", gradients_of(model, batch, step))
        train(model, batch, step)
        results |= under(f"{step}/weights", model.named_weights())
    model = build(backend, STILL, seed=8, optimizer=LAMB)
    model.load(folder, 2)
    train(model, batch, 3)
    return results | under("resumed", model.named_weights())


def parts(backend: str, folder: str) -> dict[str, np.ndarray]:
    """A step's gradients, whole and in parts; with dropout, in parts and again."""
    batch = join(make_batch(1, 100, 17), make_batch(2, 3, 30))
    results = {}
    for name, max_slots in (("whole", 10_000), ("parts", 600), ("units", 1)):
        model = build(backend, STILL, max_slots=max_slots)
        results |= under(name, gradients_of(model, batch))
        results[f"{name}/number"] = np.array(len(model.pack(batch).parts))
    for name in ("first", "again"):
        results |= under(name, gradients_of(build(backend, SMALL, max_slots=600), batch))
    return results


def large_batch(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Three steps of LAMB whose patients the ranks share; on several ranks in parts, also as float16."""
    world = detect_world()
    if world.size == 1:
        return under("alone", _three_steps(build(backend, STILL, optimizer=LAMB), slice(None)))
    half = slice(0, 40) if world.rank == 0 else slice(40, None)
    results = under("parts", _three_steps(build(backend, STILL, optimizer=LAMB, max_slots=300), half))
    compressed = build(backend, STILL, optimizer=LAMB, compression="fp16")
    return results | under("fp16", _three_steps(compressed, half))


def _three_steps(model: Backend, rows: slice) -> dict[str, np.ndarray]:
    for step in (1, 2, 3):
        whole = make_batch(step, 90, 14)
        train(model, patients_of(whole, rows), step, totals_of(whole))
    return model.named_weights()
