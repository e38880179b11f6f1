"""Real runs that are interrupted: on what they are tried, and what they must come to in the end."""

from __future__ import annotations

import pytest

from tests.trainer.processes import STEPS, finish, losses, start, wait_for_step

ON_EACH_BACKEND = pytest.mark.parametrize(
    ("backend", "ranks"),
    [
        ("torch", 1),
        ("tensorflow", 1),
        pytest.param("torch", 2, marks=[pytest.mark.horovod, pytest.mark.slow]),
    ],
)


def started(data_set, output, backend, ranks, step):
    """A run that has logged this step."""
    process = start(data_set, output, backend, ranks)
    wait_for_step(process, output, step)
    return process


def check_it_repeats_an_undisturbed_run(data_set, output, undisturbed, backend, ranks):
    """Start a run again, to its end: each step is there once, as in a run that nothing ever happened to."""
    both = start(data_set, output, backend, ranks), start(data_set, undisturbed, backend, ranks)
    for process in both:
        finish(process)
    assert [step for step, *_ in losses(output)] == list(range(1, STEPS + 1))
    for kind in ("train", "eval"):
        assert losses(output, kind) == losses(undisturbed, kind)
