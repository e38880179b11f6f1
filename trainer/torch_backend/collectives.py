"""Sums and broadcasts over the ranks; without Horovod, those of a single process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.profiler import record_function

from trainer.config import Compression
from trainer.core.backend_rules import float16_scale
from trainer.core.together import RankLost
from trainer.core.world import World


class Collectives:
    """Every operation is named, so that no two ranks can mistake one for another."""

    def __init__(self, world: World) -> None:
        self._horovod: Any = None
        if world.is_distributed:
            import horovod.torch

            horovod.torch.init()
            self._horovod = horovod.torch

    def sum_in_place(self, name: str, tensors: list[torch.Tensor], compression: Compression = "none") -> None:
        """Each tensor becomes its sum over the ranks, in one fused operation.

        compression fp16: all but the last tensor travel as float16.
        """
        if not self._horovod:
            return
        with _ranks_answer(), record_function("all-reduce"):
            if compression == "none":
                self._horovod.grouped_allreduce_(tensors, name=name, op=self._horovod.Sum)
            else:
                self._sum_as_float16(name, tensors)

    def _sum_as_float16(self, name: str, tensors: list[torch.Tensor]) -> None:
        large, last = tensors[:-1], tensors[-1]
        largest = torch.stack(torch._foreach_norm(large, torch.inf)).max()
        largest = self._horovod.allreduce(largest, name=f"{name}.largest", op=self._horovod.Max)
        scale = float16_scale(float(largest), self._horovod.size())
        halves = [(tensor * scale).half() for tensor in large]
        self._horovod.grouped_allreduce_(halves, name=f"{name}.float16", op=self._horovod.Sum)
        self._horovod.allreduce_(last, name=name, op=self._horovod.Sum)
        for tensor, half in zip(large, halves, strict=True):
            tensor.copy_(half).div_(scale)

    def sum_array(self, name: str, values: np.ndarray) -> np.ndarray:
        """The sum of an array that has the same shape on every rank, though not in every call."""
        if not self._horovod or not values.size:
            return values.copy()
        tensor = torch.from_numpy(np.atleast_1d(values).copy())
        with _ranks_answer():
            summed = self._horovod.allreduce(tensor, name=name, op=self._horovod.Sum)
        return summed.numpy().reshape(values.shape)

    def broadcast(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Each tensor becomes the first rank's."""
        if self._horovod:
            with _ranks_answer():
                self._horovod.broadcast_parameters(dict(tensors), root_rank=0)


@contextmanager
def _ranks_answer() -> Iterator[None]:
    """Raises RankLost for Horovod's own error."""
    from horovod.common.exceptions import HorovodInternalError

    try:
        yield
    except HorovodInternalError as error:
        raise RankLost(f"another rank is lost or hangs ({error})") from error
