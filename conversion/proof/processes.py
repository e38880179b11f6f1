"""Child processes: one framework in each, none in the converter."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence

from conversion.errors import ProcessFailed

_log = logging.getLogger(__name__)
_PROJECT_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
_LINES_SHOWN = 15


def run_module(module: str, arguments: Sequence[str], what: str) -> None:
    """Run `python -m module arguments`. Raises ProcessFailed."""
    run_command([sys.executable, "-m", module, *arguments], what)


def run_command(command: Sequence[str], what: str) -> None:
    """Run a command to its end, on the CPU and offline; `what` says what it does, for messages.

    Raises ProcessFailed with the last lines that it wrote, unless it ends well.
    """
    _log.info("%s: %s", what, " ".join(command))
    done = subprocess.run(
        command,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-_LINES_SHOWN:])
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise ProcessFailed(f"{what} ended with {ended}:\n{tail}")
    _log.debug("%s wrote:\n%s", what, done.stdout)


def _environment() -> dict[str, str]:
    python_path = os.pathsep.join(filter(None, [_PROJECT_ROOT, os.environ.get("PYTHONPATH")]))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOROVOD_")},
        "PYTHONPATH": python_path,
        # Float32 on a GPU may be TF32: parity is measured on the CPU.
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
