"""A trace of some steps: what the framework did, and which part of the loop asked for it.

`traces/rank-0.json`, a file a rank, in Chrome's trace event format: https://ui.perfetto.dev opens it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from schemas.manifest import join
from schemas.training_log import TRACES_FOLDER
from trainer.core.storage import file_system, retried
from trainer.core.world import World
from trainer.core.writing import CannotWrite, writing

LOG = logging.getLogger(__name__)

WARM_UP_STEPS = 5
"""Steps of a process that are not traced: the first ones compile, and fill caches."""


class Tracer(Protocol):
    """One framework's profiler."""

    def start(self) -> None:
        """Trace from here on."""
        ...

    def span(self, name: str) -> AbstractContextManager[object]:
        """What happens in here, as a span of the trace."""
        ...

    def stop(self) -> bytes:
        """The trace, as JSON of Chrome's trace event format."""
        ...


class StepTrace:
    """Traces the steps of one process that come after the warm-up."""

    def __init__(self, tracer: Tracer | None, num_steps: int, run_uri: str, world: World) -> None:
        """tracer: None traces nothing, and neither does a num_steps of 0."""
        self._tracer, self._num_steps = tracer, num_steps
        self._uri = join(run_uri, TRACES_FOLDER, f"rank-{world.rank}.json")
        self._seen = 0
        self._traces = False

    @contextmanager
    def step(self, step: int) -> Iterator[None]:
        """One turn of the loop: input, step, and what comes after it."""
        if self._seen == WARM_UP_STEPS and self._num_steps and self._tracer:
            self._tracer.start()
            self._traces = True
        with self.span(f"step {step}"):
            yield
        self._seen += 1
        if self._seen == WARM_UP_STEPS + self._num_steps:
            self.close()

    def span(self, name: str) -> AbstractContextManager[object]:
        """What happens in here, as a span, while steps are traced."""
        return self._tracer.span(name) if self._tracer and self._traces else nullcontext()

    def close(self) -> None:
        """Write what is traced. A trace that cannot be written ends no run."""
        if not self._traces or self._tracer is None:
            return
        self._traces = False
        content = self._tracer.stop()
        filesystem, path = file_system(self._uri)
        try:
            with writing(self._uri):
                filesystem.makedirs(filesystem._parent(path), exist_ok=True)
                retried(self._uri, lambda: filesystem.pipe_file(path, content))
            LOG.info("traced steps: %s", self._uri)
        except CannotWrite as error:
            LOG.warning("%s", error)
