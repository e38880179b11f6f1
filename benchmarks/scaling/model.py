"""The time of a training step on many ranks, on paper.

A step is computing, then one sum of all gradients over the ranks (Horovod fuses them; it begins when the
backward pass is over, so nothing overlaps), and a small sum before each step (patients and codes, who must
stop).
The sum goes round a ring (Patarasuk and Yuan, 2009): 2 (p - 1) messages one after the other, each of 1/p of
the bytes: the alpha-beta model. Ranks of more than one node are one ring, whose slowest link is a node's
network card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMALL_SUM_BYTES = 64


@dataclass(frozen=True)
class Network:
    """What joins two ranks that are neighbours in the ring."""

    name: str
    bytes_per_s: float
    """In one direction."""
    latency_s: float
    """Of a message."""


@dataclass(frozen=True)
class Cluster:
    """Nodes of some ranks each."""

    ranks_per_node: int
    inside: Network
    between: Network

    def slowest(self, ranks: int) -> Network:
        """The link that holds the ring of so many ranks up."""
        return self.inside if ranks <= self.ranks_per_node else self.between


@dataclass(frozen=True)
class Step:
    """One rank's share of a step; equal on all ranks."""

    compute_s: float
    gradient_bytes: int
    overhead_s: float
    """Of any collective, whatever its size: Horovod's ranks first agree that all are ready."""


def ring_all_reduce_s(num_bytes: int, ranks: int, network: Network) -> float:
    """Seconds to sum so many bytes over the ranks; nothing for one rank."""
    messages = 2 * (ranks - 1)
    return messages * network.latency_s + messages / ranks * num_bytes / network.bytes_per_s


def step_s(step: Step, ranks: int, cluster: Cluster) -> float:
    """Seconds of a step."""
    if ranks == 1:
        return step.compute_s
    network = cluster.slowest(ranks)
    return step.compute_s + sum(
        step.overhead_s + ring_all_reduce_s(num_bytes, ranks, network)
        for num_bytes in (step.gradient_bytes, SMALL_SUM_BYTES)
    )


def efficiency(step: Step, ranks: int, cluster: Cluster) -> float:
    """Throughput on so many ranks, over that of as many ranks that never wait for another."""
    return step.compute_s / step_s(step, ranks, cluster)


def compute_s_for(share: float, step: Step, ranks: int, cluster: Cluster) -> float:
    """How long a rank would have to compute between two sums for that efficiency."""
    talking_s = step_s(step, ranks, cluster) - step.compute_s
    return talking_s * share / (1 - share)


def fit(num_bytes: Sequence[int], seconds: Sequence[float], ranks: int) -> tuple[float, float]:
    """(overhead_s, bytes_per_s) of measured sums, latency being part of the overhead.

    Least squares of relative errors: small sums count as much as large ones.
    """
    times = np.asarray(seconds)
    travelling = 2 * (ranks - 1) / ranks * np.asarray(num_bytes, float)
    columns = np.stack([np.ones_like(times), travelling], axis=1) / times[:, None]
    (overhead_s, s_per_byte), *_ = np.linalg.lstsq(columns, np.ones_like(times), rcond=None)
    return float(overhead_s), float(1 / s_per_byte)
