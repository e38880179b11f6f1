"""Work side by side: on a CPU each thread takes patients, or part of the vocabulary, through all operations.

An operation that several threads share makes each wait for the others. That took a quarter more of their
time, and a fifth of a step passed while only one of them ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import tensorflow as tf

Result = TypeVar("Result")


class Towers:
    """So many threads; with one the caller's own."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "tower") if count > 1 else None

    def map(self, function: Callable[..., Result], *items: Iterable[Any]) -> list[Result]:
        """The function of each item, in their order."""
        # The search for an anomaly, which runs functions eagerly, watches the operations of one thread.
        if self._pool is None or tf.config.functions_run_eagerly():
            return [*map(function, *items)]
        return [*self._pool.map(function, *items)]
