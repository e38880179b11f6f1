"""The processes that train together, as plain numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """This process is number `rank` of `size`, and number `local_rank` of those on its host."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Only the first rank writes."""
        return self.rank == 0

    @property
    def is_distributed(self) -> bool:
        """Launched under Horovod: only then is it imported."""
        return "HOROVOD_SIZE" in os.environ


def is_elastic() -> bool:
    """Launched with a host discovery script: ranks come and go, and only Horovod knows which is which."""
    return "HOROVOD_ELASTIC" in os.environ


def detect_world() -> World:
    """What Horovod's launcher tells its workers in the environment; a single process without it."""
    return World(
        rank=int(os.environ.get("HOROVOD_RANK", 0)),
        size=int(os.environ.get("HOROVOD_SIZE", 1)),
        local_rank=int(os.environ.get("HOROVOD_LOCAL_RANK", 0)),
    )
