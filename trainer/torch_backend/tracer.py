"""PyTorch's profiler as trainer.core.step_trace.Tracer."""

from __future__ import annotations

import os
import tempfile
from contextlib import AbstractContextManager

from torch.profiler import profile, record_function


class TorchTracer:
    """Operators of the CPU and, where there is one, kernels of the GPU."""

    def __init__(self) -> None:
        self._profile: profile | None = None

    def start(self) -> None:
        self._profile = profile()
        self._profile.start()

    def span(self, name: str) -> AbstractContextManager[object]:
        return record_function(name)

    def stop(self) -> bytes:
        assert self._profile is not None
        self._profile.stop()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trace.json")
            self._profile.export_chrome_trace(path)
            with open(path, "rb") as stream:
                return stream.read()
