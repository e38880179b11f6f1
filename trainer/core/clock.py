"""How fast a run goes, and how much of its time it waits for input."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Times the steps of one process. `now` gives seconds and is handed in by tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = self._lap_start = now()
        self._waited = 0.0
        self._aside = 0.0
        self._patients = self._codes = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time in here counts as waiting for input."""
        begin = self._now()
        yield
        self._waited += self._now() - begin

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time in here (evaluation, checkpoints) does not count as training."""
        begin = self._now()
        yield
        self._aside += self._now() - begin

    @property
    def seconds(self) -> float:
        """Since the process began to train, everything included."""
        return self._now() - self._start

    def count(self, patients: int, codes: int) -> None:
        """A step is done with so many patients and codes, on all ranks together."""
        self._patients += patients
        self._codes += codes

    def lap(self) -> dict[str, float]:
        """Speed since the last lap, under the names of schemas.training_log."""
        now = self._now()
        seconds = max(now - self._lap_start - self._aside, 1e-9)
        lap = {
            "patients_per_second": self._patients / seconds,
            "codes_per_second": self._codes / seconds,
            "input_wait": self._waited / seconds,
        }
        self._lap_start, self._waited, self._aside, self._patients, self._codes = now, 0.0, 0.0, 0, 0
        return lap
