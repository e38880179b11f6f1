"""A request to stop, as a scheduler makes it with SIGTERM before it takes the machine away."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether this process was asked to stop. The loop looks at it between steps and inside evaluations."""

    def __init__(self) -> None:
        self._asked = False

    @property
    def asked(self) -> bool:
        return self._asked

    def ask(self) -> None:
        self._asked = True


class Stopped(Exception):
    """The run was asked to stop, and did so where it can go on; this is no error."""

    def __init__(self, step: int, ranks: Sequence[int], uri: str) -> None:
        """ranks: those that were asked. uri: the run's folder."""
        super().__init__(
            f"stopped at step {step} (SIGTERM on rank {', '.join(map(str, ranks))}); "
            f"the same command goes on from there: {uri}"
        )


@contextmanager
def stop_on_sigterm() -> Iterator[StopRequest]:
    """SIGTERM becomes a request. It is so however often it comes: launchers and process groups repeat it."""
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        request.ask()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
