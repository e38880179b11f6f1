"""Sums and broadcasts over the ranks; without Horovod, those of a single process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import Compression
from trainer.core.backend_rules import float16_scale
from trainer.core.together import RankLost
from trainer.core.world import World
from trainer.tf_backend.traced import traced


class Collectives:
    """Every operation is named, so that no two ranks can mistake one for another.

    All are traced: run eagerly, Horovod's operations lose their names.
    """

    def __init__(self, world: World) -> None:
        self._horovod: Any = None
        self._traced: dict[str, Callable] = {}
        if world.is_distributed:
            import horovod.tensorflow

            horovod.tensorflow.init()
            self._horovod = horovod.tensorflow

    def sum(self, name: str, tensors: list[tf.Tensor], compression: Compression = "none") -> list[tf.Tensor]:
        """Each tensor's sum over the ranks, in one fused operation.

        compression fp16: all but the last tensor travel as float16.
        """
        if not self._horovod:
            return tensors
        operation = _graph_name(name)
        if name not in self._traced:
            self._traced[name] = (
                self._sum_as_float16(operation)
                if compression == "fp16"
                else traced(
                    lambda values: self._horovod.grouped_allreduce(
                        values, op=self._horovod.Sum, name=operation
                    )
                )
            )
        with _ranks_answer(), tf.profiler.experimental.Trace("all-reduce"):
            return self._traced[name](tensors)

    def _sum_as_float16(self, operation: str) -> Callable[[list[tf.Tensor]], list[tf.Tensor]]:
        @traced
        def largest_of(values: list[tf.Tensor]) -> tf.Tensor:
            largest = tf.reduce_max([tf.reduce_max(tf.abs(value)) for value in values])
            return self._horovod.allreduce(largest, op=self._horovod.Max, name=f"{operation}.largest")

        @traced
        def sum_scaled(values: list[tf.Tensor], last: tf.Tensor, scale: tf.Tensor) -> list[tf.Tensor]:
            halves = [tf.cast(value * scale, tf.float16) for value in values]
            sums = self._horovod.grouped_allreduce(halves, op=self._horovod.Sum, name=f"{operation}.float16")
            last = self._horovod.allreduce(last, op=self._horovod.Sum, name=operation)
            return [*(tf.cast(value, tf.float32) / scale for value in sums), last]

        def summed(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            *large, last = tensors
            scale = float16_scale(float(largest_of(large)), self._horovod.size())
            return sum_scaled(large, last, tf.constant(scale, tf.float32))

        return summed

    def sum_array(self, name: str, values: np.ndarray) -> np.ndarray:
        """The sum of an array that has the same shape on every rank, though not in every call."""
        if not self._horovod or not values.size:
            return values.copy()
        key = f"{name}/{values.dtype}"
        if key not in self._traced:
            self._traced[key] = traced(
                lambda tensor: self._horovod.allreduce(tensor, op=self._horovod.Sum, name=_graph_name(name)),
                input_signature=[tf.TensorSpec(None, tf.as_dtype(values.dtype))],
            ).get_concrete_function()
        with _ranks_answer():
            return self._traced[key](tf.constant(values)).numpy()

    def broadcast(self, variables: Mapping[str, tf.Variable]) -> None:
        """Each variable becomes the first rank's."""
        if not self._horovod:
            return

        @traced
        def broadcast_all() -> None:
            for name, variable in variables.items():
                variable.assign(self._horovod.broadcast(variable, 0, name=_graph_name(name)))

        with _ranks_answer():
            broadcast_all()


@contextmanager
def _ranks_answer() -> Iterator[None]:
    """Raises RankLost for an error of Horovod's operations."""
    try:
        yield
    except tf.errors.OpError as error:
        raise RankLost(f"another rank is lost or hangs ({error.message})") from error


def _graph_name(name: str) -> str:
    """A name that TensorFlow accepts for an operation."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", f"sum.{name}")
