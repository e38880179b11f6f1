"""kill -9 in the middle of a real run: started again, it repeats an undisturbed one, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from schemas.checkpoint import latest_checkpoint
from schemas.manifest import join
from schemas.training_log import METRICS_FILE

STEPS = 80
OPTIONS = {
    "data.max_seq_length": 32,
    "steps": STEPS,
    "batch_size": 32,
    "model.hidden_size": 24,
    "model.num_hidden_layers": 2,
    "model.num_attention_heads": 2,
    "model.max_position_embeddings": 32,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup_steps": 5,
    "log_every": 1,
    "eval_every": 20,
    "checkpoint_every": 7,
}


def start(data_set, output, backend, ranks):
    """The trainer in a process group of its own."""
    launcher = [join(os.path.dirname(sys.executable), "horovodrun"), "-np", str(ranks), "--gloo"]
    options = OPTIONS | {
        "data.shards": data_set.shards,
        "data.vocabulary": data_set.vocabulary,
        "output": output,
        "backend": backend,
    }
    return subprocess.Popen(
        [
            *(launcher if ranks > 1 else []),
            *(sys.executable, "-m", "trainer", "pretrain"),
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def losses(output, kind="train"):
    path = join(output, METRICS_FILE)
    if not os.path.exists(path):
        return []
    with open(path) as stream:
        lines = [json.loads(line) for line in stream if line.endswith("\n")]
    return [(line["step"], line["mlm_loss"], line["los_loss"]) for line in lines if line["kind"] == kind]


def kill_at(process, output, step):
    """kill -9 of every process once the step is in the log."""
    while (not (seen := losses(output)) or seen[-1][0] < step) and process.poll() is None:
        time.sleep(0.005)
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
