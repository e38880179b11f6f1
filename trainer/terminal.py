"""Where a process's output goes: to a terminal, whose last line can be rewritten, or elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_RANKS_COLUMNS = "MEDBERT_TERMINAL_COLUMNS"
_RANK_PREFIX = "[0]<stderr>:"
"""Horovod's, before each line of the first rank."""


def columns_of(stream: TextIO) -> int | None:
    """The width of the terminal that a stream, or that of the launcher, ends at; None where there is none."""
    if os.environ.get("TERM") == "dumb":
        return None
    if stream.isatty():
        return os.get_terminal_size(stream.fileno()).columns
    given = os.environ.get(_RANKS_COLUMNS)
    return int(given) - len(_RANK_PREFIX) if given else None


def tell_ranks() -> None:
    """Called by the launcher: its ranks write to pipes, and it writes what comes to its own output."""
    columns = columns_of(sys.stderr)
    if columns is not None:
        os.environ[_RANKS_COLUMNS] = str(columns)
