"""`python -m trainer.preemption`: ask the ranks of this container to stop, and wait until they have.

Kubernetes runs it before it ends a worker (deploy/mpijob.yaml): its own SIGTERM reaches the ssh server alone.
"""

from __future__ import annotations

import sys

import psutil

from trainer.launch import GRACE_SECONDS, ranks_below

CONTAINER = 1
"""Above all processes of a container."""


def stop_ranks(process: int, seconds: float) -> int:
    """SIGTERM to each rank below a process; how many still run after so many seconds."""
    ranks = ranks_below(process)
    for rank in ranks:
        rank.terminate()
    _, left = psutil.wait_procs(ranks, timeout=seconds)
    return len(left)


if __name__ == "__main__":
    sys.exit(stop_ranks(CONTAINER, GRACE_SECONDS) > 0)
