"""Runs a command of one of the *_commands.py in a process of its own. For tests.

    python backend_process.py BACKEND COMMAND OUTPUT_FOLDER [SHARED_FOLDER]

Two deep-learning frameworks do not live in one process, so the tests compare what the commands leave behind:
one `<rank>.npz` in the output folder.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.trainer import (
    anomaly_commands,
    backend_commands,
    checkpoint_commands,
    compile_commands,
    device_commands,
    large_batch_commands,
    precision_commands,
    torch_commands,
)
from trainer.core.world import detect_world

MODULES = (
    backend_commands,
    anomaly_commands,
    checkpoint_commands,
    compile_commands,
    device_commands,
    large_batch_commands,
    precision_commands,
    torch_commands,
)


def main(backend: str, command: str, output: str, *rest: str) -> None:
    (run,) = {getattr(module, command) for module in MODULES if hasattr(module, command)}
    found = run(backend, output, *rest)
    np.savez(f"{output}/{detect_world().rank}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
