"""The two backends by name. Each imports its framework only when it is asked for: one framework a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from schemas.model_config import BertConfig
from trainer.config import OptimizerConfig, PretrainConfig
from trainer.core.backend import Backend, StepOptions
from trainer.core.step_trace import Tracer
from trainer.core.world import World

BackendName = Literal["tensorflow", "torch"]
MakeBackend = Callable[[BertConfig, OptimizerConfig, World, int], Backend]


def backend_class(name: BackendName) -> type[Backend]:
    """Import and return a backend."""
    if name == "tensorflow":
        from trainer.tf_backend.backend import TensorFlowBackend

        return TensorFlowBackend
    from trainer.torch_backend.backend import TorchBackend

    return TorchBackend


def make_tracer(name: BackendName) -> Tracer:
    """The profiler of a backend's framework."""
    if name == "tensorflow":
        from trainer.tf_backend.tracer import TensorFlowTracer

        return TensorFlowTracer()
    from trainer.torch_backend.tracer import TorchTracer

    return TorchTracer()


def backend_maker(config: PretrainConfig) -> MakeBackend:
    """What makes a run's backend, with the options that the run asks for."""
    options = StepOptions(config.compression, config.max_slots, config.precision, config.compile)
    return partial(backend_class(config.backend), options=options)
