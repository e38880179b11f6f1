"""What backend_process.py can be told to run of large batches: LAMB, steps in parts, gradients in 16 bits."""

from __future__ import annotations

import numpy as np

from tests.trainer.small_models import (
    LEARNING_RATE,
    SMALL,
    STILL,
    build,
    make_block,
    patients_of,
    totals_of,
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
        blocks = [make_block(step, 8, 17), make_block(50 + step, 3, 30)]
        results |= under(f"{step}/gradients", model.named_gradients(blocks, totals_of(blocks), step))
        model.train_step(blocks, totals_of(blocks), LEARNING_RATE, step)
        results |= under(f"{step}/weights", model.named_weights())
    model = build(backend, STILL, seed=8, optimizer=LAMB)
    model.load(folder, 2)
    model.train_step(blocks, totals_of(blocks), LEARNING_RATE, 3)
    return results | under("resumed", model.named_weights())


def parts(backend: str, folder: str) -> dict[str, np.ndarray]:
    """A step's gradients, whole and in parts; with dropout, in parts and again."""
    blocks = [make_block(1, 8, 17), make_block(2, 3, 30)]
    totals = totals_of(blocks)
    results = {}
    for name, max_slots in (("whole", 10_000), ("parts", 60), ("patients", 1)):
        results |= under(name, build(backend, STILL, max_slots=max_slots).named_gradients(blocks, totals, 1))
    for name in ("first", "again"):
        results |= under(name, build(backend, SMALL, max_slots=60).named_gradients(blocks, totals, 1))
    return results


def large_batch(backend: str, folder: str) -> dict[str, np.ndarray]:
    """Three steps of LAMB whose patients the ranks share; on several ranks in parts, also as float16."""
    world = detect_world()
    if world.size == 1:
        return under("alone", _three_steps(build(backend, STILL, optimizer=LAMB), slice(None)))
    half = slice(0, 4) if world.rank == 0 else slice(4, None)
    results = under("parts", _three_steps(build(backend, STILL, optimizer=LAMB, max_slots=30), half))
    compressed = build(backend, STILL, optimizer=LAMB, compression="fp16")
    return results | under("fp16", _three_steps(compressed, half))


def _three_steps(model: Backend, rows: slice) -> dict[str, np.ndarray]:
    for step in (1, 2, 3):
        whole = make_block(step, 9, 14)
        model.train_step([patients_of(whole, rows)], totals_of([whole]), LEARNING_RATE, step)
    return model.named_weights()
