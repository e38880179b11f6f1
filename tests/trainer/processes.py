"""Real runs of the trainer in processes of their own, small enough for a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import fsspec

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


def start(
    data_set,
    output,
    backend,
    ranks,
    *,
    program=("-m", "trainer"),
    launcher="trainer.launch",
    launch=(),
    prefix=(),
    file_limit=None,
    environment=None,
    **more,
):
    """The trainer in a process group of its own.

    program: instead of the trainer. launcher: its module. launch: its further arguments. prefix: a command
    that runs it all. file_limit: bytes that no file may exceed, like a quota. environment: further variables.
    more: further options of the trainer.
    """
    under_launcher = [sys.executable, "-m", launcher, "-np", str(ranks), "--gloo", *launch]
    options = OPTIONS | {
        "data.shards": data_set.shards,
        "data.vocabulary": data_set.vocabulary,
        "output": output,
        "backend": backend,
        **more,
    }
    limit = ["prlimit", f"--fsize={file_limit}"] if file_limit else []
    return subprocess.Popen(
        [
            *prefix,
            *limit,
            *(under_launcher if ranks > 1 else []),
            *(sys.executable, *program, "pretrain"),
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process, code=0):
    """What it said, once it has ended with this exit code."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def losses(output, kind="train"):
    filesystem, path = fsspec.core.url_to_fs(join(output, METRICS_FILE))
    if not filesystem.exists(path):
        return []
    whole = filesystem.cat_file(path).split(b"\n")[:-1]
    lines = [json.loads(line) for line in whole]
    return [(line["step"], line["mlm_loss"], line["los_loss"]) for line in lines if line["kind"] == kind]


def wait_for_step(process, output, step):
    """Until the step is in the log, or the process has ended."""
    while (not (seen := losses(output)) or seen[-1][0] < step) and process.poll() is None:
        time.sleep(0.005)


def wait_for(process, happened):
    """Until something has happened, or the process has ended."""
    while not happened() and process.poll() is None:
        time.sleep(0.1)
