"""Where the time of a PyTorch step goes, by its profiler: arithmetic, memory, launches, input."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from torch.autograd import DeviceType
from torch.profiler import profile

from benchmarks.train.device import Device
from benchmarks.train.setup import Pack, Setting
from trainer.core.input.prefetch import Prefetch
from trainer.core.input.training_input import StepInput

ARITHMETIC = re.compile(
    r"^(?!triton_(poi|per|red)_).*(mm|linear|gemm|conv|attention|fmha|flash|cutlass|nvjet)", re.IGNORECASE
)
"""Names of matrix products and fused attention: operations on a CPU, kernels on a GPU. Triton names what it
joined after operations beside it, too."""
COPIES = re.compile(r"memcpy", re.IGNORECASE)
"""A GPU's copies, those of the input among them."""
LAUNCH = re.compile(r"^cu(da)?LaunchKernel")
WARM_UP = 2


class Event(NamedTuple):
    """What the profiler summed up under one name."""

    name: str
    on_gpu: bool
    count: int
    seconds: float
    """Of itself, without what it called."""


def take_apart(
    setting: Setting, train: Callable[[StepInput, int], object], pack: Pack, steps: int, device: Device
) -> dict[str, float]:
    """So many steps more, under the profiler: see shares."""
    prefetched = Prefetch(setting.steps(pack))
    waited = 0.0
    try:
        for step in range(1, WARM_UP + 1):
            train(next(prefetched), step)
        device.synchronise()
        with profile() as profiled:
            began = time.perf_counter()
            for step in range(WARM_UP + 1, WARM_UP + steps + 1):
                asked = time.perf_counter()
                step_input = next(prefetched)
                waited += time.perf_counter() - asked
                train(step_input, step)
            device.synchronise()
            wall = time.perf_counter() - began
    finally:
        prefetched.close()
    events = [
        Event(
            one.key,
            one.device_type != DeviceType.CPU,
            one.count,
            (one.self_device_time_total if one.device_type != DeviceType.CPU else one.self_cpu_time_total)
            / 1e6,
        )
        for one in profiled.key_averages()
        if not one.is_user_annotation  # they span others
    ]
    return shares(events, device.on_gpu, wall, waited, steps)


def shares(
    events: Iterable[Event], on_gpu: bool, wall_s: float, waited_s: float, steps: int
) -> dict[str, float]:
    """Of the steps' wall time on a GPU, of the operations' CPU time without one; the profiler's own included.

    arithmetic: matrix products and attention; copies: to the GPU, from it and in it; memory: all other
    operations, whose time is that of their passes over memory; idle: the GPU has nothing to do. input_wait:
    of the wall time, the host waits for input: no less than what the GPU does. launches: a step, of kernels
    on a GPU, else of operations.
    """
    events = list(events)
    counted = [event for event in events if event.on_gpu == on_gpu]
    total = wall_s if on_gpu else sum(event.seconds for event in counted)
    copies = sum(event.seconds for event in counted if COPIES.search(event.name))
    arithmetic = sum(event.seconds for event in counted if ARITHMETIC.search(event.name))
    busy = sum(event.seconds for event in counted)
    launched = [event for event in events if not on_gpu or (not event.on_gpu and LAUNCH.match(event.name))]
    found = {
        "arithmetic": arithmetic / total,
        "memory": (busy - arithmetic - copies) / total,
        "copies": copies / total,
        "idle": max(0.0, 1 - busy / total),
        "input_wait": waited_s / wall_s,
    }
    return {name: round(value, 4) for name, value in found.items()} | {
        "launches": round(sum(event.count for event in launched) / steps),
        "step_ms": round(wall_s / steps * 1e3, 2),
    }
