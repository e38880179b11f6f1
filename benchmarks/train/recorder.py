"""Times steps: some to warm up, then repetitions of at least so many seconds; medians of these."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    warm_up: int
    """Steps that are not timed."""
    repetitions: int
    seconds: float
    """Each repetition goes on until so much time has passed."""


@dataclass
class Repetition:
    """What was done in one."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of this process, all threads."""
    waited_s: float | None = None
    """In which a step had not got its input; None where that was not seen."""
    steps: int = 0
    patients: int = 0
    codes: int = 0
    """Real ones."""
    slots: int = 0
    """Codes and padding."""


class Recorder:
    """Is told of every step that is done.

    synchronise: waits until the device has done what it was given. wall, cpu: clocks in seconds.
    """

    def __init__(
        self,
        plan: Plan,
        synchronise: Callable[[], object] = lambda: None,
        wall: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._plan, self._synchronise, self._wall, self._cpu = plan, synchronise, wall, cpu
        self._warm_up_left = plan.warm_up
        self._current = Repetition()
        self._began = (wall(), cpu())
        self.repetitions: list[Repetition] = []

    @property
    def is_done(self) -> bool:
        return len(self.repetitions) >= self._plan.repetitions

    def after_step(self, patients: int, codes: int, slots: int, waited_s: float | None = None) -> None:
        """A step of so many patients is done."""
        if self._warm_up_left > 0:
            self._warm_up_left -= 1
            if not self._warm_up_left:
                self._begin()
            return
        current = self._current
        current.steps += 1
        current.patients += patients
        current.codes += codes
        current.slots += slots
        if waited_s is not None:
            current.waited_s = (current.waited_s or 0.0) + waited_s
        if self._wall() - self._began[0] >= self._plan.seconds:
            self._synchronise()
            current.wall_s, current.cpu_s = self._wall() - self._began[0], self._cpu() - self._began[1]
            self.repetitions.append(current)
            self._begin()

    def summary(self) -> dict[str, object]:
        """Medians over the repetitions, and these themselves."""

        def median(value: Callable[[Repetition], float]) -> float:
            return statistics.median(value(one) for one in self.repetitions)

        waits = [one.waited_s / one.wall_s for one in self.repetitions if one.waited_s is not None]
        return {
            "patients_per_s": median(lambda one: one.patients / one.wall_s),
            "codes_per_s": median(lambda one: one.codes / one.wall_s),
            "patients_per_cpu_s": median(lambda one: one.patients / one.cpu_s),
            "codes_per_cpu_s": median(lambda one: one.codes / one.cpu_s),
            "filled": median(lambda one: one.codes / one.slots),
            "repetitions": [asdict(one) for one in self.repetitions],
        } | ({"input_wait": statistics.median(waits)} if waits else {})

    def _begin(self) -> None:
        self._synchronise()
        self._current = Repetition()
        self._began = (self._wall(), self._cpu())
