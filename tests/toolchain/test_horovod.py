"""The mended Horovod: two real processes sum a tensor, in each framework."""

import os
import subprocess
import sys

import pytest

TORCH = """
import horovod.torch as hvd, torch
hvd.init()
total = hvd.allreduce(torch.tensor([hvd.rank() + 1.0, 10.0]), op=hvd.Sum, name="total").tolist()
"""
TENSORFLOW = """
import horovod.tensorflow as hvd, tensorflow as tf
hvd.init()
total = hvd.allreduce(tf.constant([hvd.rank() + 1.0, 10.0]), op=hvd.Sum, name="total").numpy().tolist()
"""
# One write: the lines of two processes would otherwise run into one another.
REPORT = """
import os, sys
os.write(1, f"rank {hvd.rank()} of {hvd.size()}: {total}\\n".encode())
"""


@pytest.mark.horovod
@pytest.mark.parametrize("program", [TORCH, TENSORFLOW], ids=["torch", "tensorflow"])
def test_two_processes_sum_a_tensor(program, tmp_path):
    script = tmp_path / "sum.py"
    script.write_text(program + REPORT)
    horovodrun = os.path.join(os.path.dirname(sys.executable), "horovodrun")
    done = subprocess.run(
        [horovodrun, "-np", "2", "--gloo", sys.executable, str(script)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(2):
        assert f"rank {rank} of 2: [3.0, 20.0]" in done.stdout
