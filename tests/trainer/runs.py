"""Runs the trainer with the NumPy backend, on one rank or on several that are threads."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import fsspec

from schemas.manifest import join
from schemas.training_log import METRICS_FILE
from tests.trainer.fake_backend import Collective, FakeBackend
from trainer.config import PretrainConfig
from trainer.core.commits import Commits
from trainer.core.stop import StopRequest
from trainer.core.together import OtherRankFailed
from trainer.core.world import World
from trainer.pretrain import pretrain


def run_ranks(
    config: PretrainConfig,
    world_size: int = 1,
    before_step: Callable[[int, FakeBackend], None] | None = None,
    stops: Sequence[StopRequest] | None = None,
    commits: Sequence[Commits] | None = None,
    runs_ahead: bool = False,
) -> list[FakeBackend]:
    """Train on so many ranks. Raises a rank's own error if there was one; run_ranks.errors has all ranks'.

    stops, commits: one a rank. runs_ahead: see trainer.core.backend.AheadBackend.
    """
    collective = Collective(world_size)
    backends: dict[int, FakeBackend] = {}
    errors: dict[int, BaseException] = {}

    def work(rank: int) -> None:
        def make(*arguments: Any) -> FakeBackend:
            backends[rank] = FakeBackend(
                *arguments, collective=collective, before_step=before_step, runs_ahead=runs_ahead
            )
            return backends[rank]

        try:
            pretrain(
                config,
                make,
                World(rank, world_size, rank),
                stops[rank] if stops else None,
                commits[rank] if commits else None,
            )
        except BaseException as error:
            errors[rank] = error
            time.sleep(0.2)  # ranks that stop of themselves have done so by then
            collective.barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        run_ranks.errors = errors  # type: ignore[attr-defined]
        secondary = (threading.BrokenBarrierError, OtherRankFailed)
        real = [e for e in errors.values() if not isinstance(e, secondary)]
        raise (real or list(errors.values()))[0]
    return [backends[rank] for rank in range(world_size)]


def read_log(config: PretrainConfig, kind: str | None = None) -> list[dict[str, Any]]:
    with fsspec.open(join(config.output, METRICS_FILE)) as stream:
        lines = [json.loads(line) for line in stream]
    return [line for line in lines if kind in (None, line["kind"])]
