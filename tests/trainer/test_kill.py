"""kill -9 in the middle of a real run: started again, it repeats an undisturbed one, bit for bit."""

from __future__ import annotations

import os
import random
import signal

from schemas.checkpoint import latest_checkpoint
from tests.trainer.interrupted import ON_EACH_BACKEND, check_it_repeats_an_undisturbed_run, started
from tests.trainer.processes import STEPS, losses


@ON_EACH_BACKEND
def test_a_killed_run_repeats_an_undisturbed_one(data_set, tmp_path, backend, ranks):
    killed = str(tmp_path / "killed")
    lost_step = random.Random().randint(8, STEPS - 20)
    process = started(data_set, killed, backend, ranks, lost_step)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    reached = losses(killed)[-1][0]
    assert lost_step <= reached < STEPS, f"asked to die at step {lost_step}, was at {reached}"
    checkpoint = latest_checkpoint(killed)
    assert checkpoint is not None and checkpoint.step <= reached
    check_it_repeats_an_undisturbed_run(data_set, killed, str(tmp_path / "undisturbed"), backend, ranks)
