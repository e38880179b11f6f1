"""Sums and broadcasts over the ranks; without Horovod, those of a single process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.profiler import record_function

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

    def sum_in_place(self, name: str, tensors: list[torch.Tensor]) -> None:
        """Each tensor becomes its sum over the ranks, in one fused operation."""
        if self._horovod:
            with _ranks_answer(), record_function("all-reduce"):
                self._horovod.grouped_allreduce_(tensors, name=name, op=self._horovod.Sum)

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
