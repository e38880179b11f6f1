"""`python -m trainer.preemption [RUN]`: ask the ranks of this host to stop, and wait until they have.

Kubernetes runs it before it ends a worker (deploy/mpijob.yaml): its own SIGTERM reaches the ssh server alone.
A launcher runs it on the other hosts of its run, where there may be ranks of other runs, too.
"""

from __future__ import annotations

import sys

import psutil

from trainer.rank_processes import ask_to_stop, ranks_below

GRACE_SECONDS = 60
"""After SIGTERM, ranks that have not stopped by then are killed."""

ALL = 1
"""Above all processes of a host or a container."""


def stop_ranks(process: int, seconds: float, run: str | None = None) -> int:
    """SIGTERM to each rank (of a certain run) below a process; how many still run after so many seconds."""
    ranks = ranks_below(process, run)
    ask_to_stop(ranks)
    _, left = psutil.wait_procs(ranks, timeout=seconds)
    return len(left)


if __name__ == "__main__":
    sys.exit(stop_ranks(ALL, GRACE_SECONDS, *sys.argv[1:2]) > 0)
