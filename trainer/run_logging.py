"""Which of a run's processes says what on standard error."""

from __future__ import annotations

import logging

from trainer.core.world import World, is_elastic


def set_up_logging(world: World) -> None:
    """The first rank tells how it goes, the others only warn. Called again when elastic ranks change."""
    rank = "" if world.size == 1 and not is_elastic() else f" rank {world.rank}:"
    logging.basicConfig(
        level=logging.INFO if world.is_first else logging.WARNING,
        format=f"%(asctime)s{rank} %(message)s",
        datefmt="%H:%M:%S",
        force=is_elastic(),
    )
