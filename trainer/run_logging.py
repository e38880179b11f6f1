"""Which of a run's processes says what on standard error, and how."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TextIO

from trainer.core.run_log import is_progress
from trainer.core.world import World, is_elastic
from trainer.terminal import columns_of

PLAIN_SECONDS = 10.0
"""Least time between two progress lines where they cannot be rewritten, as in a file."""

_CLEAR = "\x1b[K"


class ProgressHandler(logging.StreamHandler):
    """On a terminal the progress is one line, rewritten; elsewhere, a line now and then."""

    def __init__(
        self,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
        columns_of: Callable[[TextIO], int | None] = columns_of,
    ) -> None:
        super().__init__(stream)
        self._now, self._columns = now, columns_of(self.stream)
        self._shown = False
        """A progress line stands where the next line will."""
        self._next_plain = -float("inf")

    def emit(self, record: logging.LogRecord) -> None:
        if not is_progress(record):
            self.end_line()
            super().emit(record)
        elif self._columns is not None:
            # The carriage return comes last: Horovod hands a line on when it sees one.
            self.stream.write(_CLEAR + self.format(record)[: self._columns - 1] + "\r")
            self.flush()
            self._shown = True
        elif self._now() >= self._next_plain:
            self._next_plain = self._now() + PLAIN_SECONDS
            super().emit(record)

    def end_line(self) -> None:
        """Take the progress line away; what is written next stands in its place."""
        if self._shown:
            self.stream.write(_CLEAR)
            self.flush()
            self._shown = False


def set_up_logging(world: World) -> None:
    """The first rank tells how it goes, the others only warn. Called again when elastic ranks change."""
    rank = "" if world.size == 1 and not is_elastic() else f" rank {world.rank}:"
    logging.basicConfig(
        level=logging.INFO if world.is_first else logging.WARNING,
        format=f"%(asctime)s{rank} %(message)s",
        datefmt="%H:%M:%S",
        handlers=[ProgressHandler()],
        force=is_elastic(),
    )


def end_progress_line() -> None:
    """Before something is written to standard error past logging."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ProgressHandler):
            handler.end_line()
