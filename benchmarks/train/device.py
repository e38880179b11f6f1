"""The device that a measurement ran on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """synchronise: waits until it has done all that it was given."""

    name: str
    on_gpu: bool
    synchronise: Callable[[], object] = lambda: None

    def to_json(self) -> dict[str, str | bool]:
        return {"device": self.name, "on_gpu": self.on_gpu}


def torch_device() -> Device:
    import torch

    if torch.cuda.is_available():
        return Device(torch.cuda.get_device_name(), True, torch.cuda.synchronize)
    return processor()


def tensorflow_device() -> Device:
    """Once the backend is there, which chooses the devices. A step ends with its numbers on the host."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return Device(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"), True)
    return processor()


def processor() -> Device:
    """The processor's name, and how many of its cores this process may use."""
    name = "CPU"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        name = names[0] if names else name
    return Device(f"{name}, {len(os.sched_getaffinity(0))} cores", False)
