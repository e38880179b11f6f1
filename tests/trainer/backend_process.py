"""Runs a command of backend_commands.py on a backend in a process of its own; it is for tests, and is none.

    python backend_process.py BACKEND COMMAND OUTPUT_FOLDER [SHARED_FOLDER]

Two deep-learning frameworks do not live in one process, so the tests compare what the commands leave behind:
one `<rank>.npz` in the output folder.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.trainer import backend_commands
from trainer.core.world import detect_world


def main(backend: str, command: str, output: str, *rest: str) -> None:
    found = getattr(backend_commands, command)(backend, output, *rest)
    np.savez(f"{output}/{detect_world().rank}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
