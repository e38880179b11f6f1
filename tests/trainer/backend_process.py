"""Runs a command of backend_commands.py or torch_commands.py in a process of its own. For tests.

    python backend_process.py BACKEND COMMAND OUTPUT_FOLDER [SHARED_FOLDER]

Two deep-learning frameworks do not live in one process, so the tests compare what the commands leave behind:
one `<rank>.npz` in the output folder.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.trainer import backend_commands, torch_commands
from trainer.core.world import detect_world


def main(backend: str, command: str, output: str, *rest: str) -> None:
    module = backend_commands if hasattr(backend_commands, command) else torch_commands
    found = getattr(module, command)(backend, output, *rest)
    np.savez(f"{output}/{detect_world().rank}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
