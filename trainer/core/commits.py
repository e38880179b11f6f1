"""What an elastic run goes on from when its ranks change: the last commit, in the memory of each process."""

from __future__ import annotations

from typing import Any

from trainer.core.backend import Backend
from trainer.core.checkpoints import TrainingState


class RanksChange(Exception):
    """Hosts came or are to go: the ranks have committed this step, and meet again in another number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the ranks change after step {step}")


class Commits:
    """The last commit of this process. Of the ranks that meet again, the first one's counts."""

    def __init__(self) -> None:
        self.hosts_changed = False
        """Set by the launcher's message, from another thread; ranks agree on it before each step."""
        self.saved_step = 0
        """Step of the newest checkpoint when this was committed: a commit itself is none."""
        self._state: TrainingState | None = None
        self._weights: Any = None

    @property
    def state(self) -> TrainingState | None:
        return self._state

    def keep(self, backend: Backend, state: TrainingState, saved_step: int) -> None:
        """Commit: copy weights and optimiser slots."""
        self._state, self._weights, self.saved_step = state, backend.snapshot(), saved_step

    def restore(self, backend: Backend) -> None:
        """Put the committed weights and slots back."""
        assert self._state is not None
        backend.restore(self._weights)
