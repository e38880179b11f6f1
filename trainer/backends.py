"""The two backends by name. Each imports its framework only when it is asked for: one framework a process."""

from __future__ import annotations

from typing import Literal

from trainer.core.backend import Backend

BackendName = Literal["tensorflow", "torch"]


def backend_class(name: BackendName) -> type[Backend]:
    """Import and return a backend."""
    if name == "tensorflow":
        from trainer.tf_backend.backend import TensorFlowBackend

        return TensorFlowBackend
    from trainer.torch_backend.backend import TorchBackend

    return TorchBackend
