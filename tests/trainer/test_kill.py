"""kill -9 in the middle of a real run: started again, it repeats an undisturbed one, bit for bit."""

from __future__ import annotations

import os
import random
import signal

import pytest

from schemas.checkpoint import latest_checkpoint
from tests.trainer.processes import STEPS, finish, losses, start, wait_for_step


def kill_at(process, output, step):
    """kill -9 of every process once the step is in the log."""
    wait_for_step(process, output, step)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(
    ("backend", "ranks"),
    [
        ("torch", 1),
        ("tensorflow", 1),
        pytest.param("torch", 2, marks=[pytest.mark.horovod, pytest.mark.slow]),
    ],
)
def test_a_killed_run_repeats_an_undisturbed_one(data_set, tmp_path, backend, ranks):
    undisturbed, killed = str(tmp_path / "undisturbed"), str(tmp_path / "killed")
    lost_step = random.Random().randint(8, STEPS - 20)
    process = start(data_set, killed, backend, ranks)
    kill_at(process, killed, lost_step)
    reached = losses(killed)[-1][0]
    assert lost_step <= reached < STEPS, f"asked to die at step {lost_step}, was at {reached}"
    checkpoint = latest_checkpoint(killed)
    assert checkpoint is not None and checkpoint.step <= reached

    both = start(data_set, killed, backend, ranks), start(data_set, undisturbed, backend, ranks)
    for process in both:
        finish(process)
    assert losses(killed) == losses(undisturbed)
    assert [step for step, *_ in losses(killed)] == list(range(1, STEPS + 1))
    assert losses(killed, "eval") == losses(undisturbed, "eval")
