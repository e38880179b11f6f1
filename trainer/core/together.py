"""Ranks that succeed or fail together: none waits for a sum to which another one never adds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from trainer.core.backend import Backend
from trainer.core.world import World

Result = TypeVar("Result")


class OtherRankFailed(RuntimeError):
    """This rank is fine, but stops because another one could not go on (and says itself why)."""

    def __init__(self, ranks: list[int]) -> None:
        super().__init__(f"rank {', '.join(map(str, ranks))} could not go on; see its own message")


class RankLost(RuntimeError):
    """A sum over the ranks came to nothing: another process ended, hangs or cannot be reached."""


def failure_flags(world: World, failed: bool) -> np.ndarray:
    """(W,) int64: what this rank adds to a sum so that all know who failed."""
    flags = np.zeros(world.size, np.int64)
    flags[world.rank] = failed
    return flags


def on_every_rank(backend: Backend, world: World, name: str, work: Callable[[], Result]) -> Result:
    """Do something that may fail on some rank only; then it fails on all of them.

    Raises the error itself where it happened, OtherRankFailed elsewhere.
    """
    return work_and_ask(backend, world, name, work, lambda: False)[0]


def work_and_ask(
    backend: Backend, world: World, name: str, work: Callable[[], Result], question: Callable[[], bool]
) -> tuple[Result, list[int]]:
    """The same, and which ranks say yes to a question that each is asked after its work: known to all."""
    error: Exception | None = None
    result: Result
    try:
        result = work()
    except Exception as caught:  # raised again below, once all ranks know
        error = caught
    flags = [failure_flags(world, flag) for flag in (error is not None, question())]
    summed = backend.all_reduce(f"{name}.failed", np.concatenate(flags))
    failed, agreeing = (np.flatnonzero(part).tolist() for part in np.split(summed, 2))
    if error is not None:
        raise error
    if failed:
        raise OtherRankFailed(failed)
    return result, agreeing


def gather(backend: Backend, world: World, name: str, value: Any) -> list[Any]:
    """Every rank's value (JSON values), by rank, on every rank."""
    encoded = np.frombuffer(json.dumps(value).encode(), np.uint8)
    rows = _gather(backend, world, name, encoded.astype(np.int64)[:, None])
    return [json.loads(row.astype(np.uint8).tobytes()) for row in rows]


def gather_rows(backend: Backend, world: World, name: str, rows: np.ndarray) -> np.ndarray:
    """(N, K) int64: the (n, K) rows of all ranks, in the ranks' order, on every rank."""
    return np.concatenate(_gather(backend, world, name, rows))


def _gather(backend: Backend, world: World, name: str, rows: np.ndarray) -> list[np.ndarray]:
    """Every rank's (n, K) int64, by rank."""
    sizes = np.zeros(world.size, np.int64)
    sizes[world.rank] = len(rows)
    sizes = backend.all_reduce(f"{name}.sizes", sizes)
    values = np.zeros((world.size, int(sizes.max()), rows.shape[1]), np.int64)
    values[world.rank, : len(rows)] = rows
    values = backend.all_reduce(f"{name}.values", values)
    return [found[:size] for found, size in zip(values, sizes, strict=True)]


def on_first_rank(backend: Backend, world: World, name: str, work: Callable[[], Any]) -> Any:
    """Do something on the first rank alone; all get its result (JSON values), or all fail."""
    encoded = b""

    def encode() -> None:
        nonlocal encoded
        if world.is_first:
            encoded = json.dumps(work()).encode()

    on_every_rank(backend, world, name, encode)
    size = int(backend.all_reduce(f"{name}.size", np.asarray([len(encoded)], np.int64))[0])
    values = np.zeros(size, np.int64)
    values[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    return json.loads(backend.all_reduce(f"{name}.value", values).astype(np.uint8).tobytes())
