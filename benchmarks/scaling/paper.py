"""Throughput on up to 64 GPUs, on paper: a step as assumed, over networks as their makers state them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.scaling.model import Cluster, Network, Step, compute_s_for, efficiency

RANKS = (1, 2, 4, 8, 16, 32, 64)
WANTED = 0.9

NVLINK = Network("NVLink 4", 300e9, 5e-6)
"""H100 and H200: two thirds of the 450 GB/s of the data sheet."""
NETWORKS = (
    Network("10 Gb/s Ethernet", 1.25e9, 50e-6),
    Network("25 Gb/s Ethernet", 3.125e9, 50e-6),
    Network("100 Gb/s Ethernet (RoCE)", 12.5e9, 10e-6),
    Network("400 Gb/s InfiniBand", 50e9, 5e-6),
)
"""One card a node, which its ranks share; latencies are those of TCP, and of RDMA where the name says so."""


@dataclass(frozen=True)
class Gpu:
    """What one rank does between two sums."""

    patients_per_s: float
    batch_size: int
    """Patients of a step on each rank."""

    @property
    def compute_s(self) -> float:
        return self.batch_size / self.patients_per_s


def scale(gpu: Gpu, gradient_bytes: int, overhead_s: float, ranks_per_node: int) -> list[dict[str, Any]]:
    """A row a network: efficiency and patients/s by number of ranks, and the batch for 90% on the most.

    float16: the gradients travel as such.
    """
    step = Step(gpu.compute_s, gradient_bytes, overhead_s)
    halved = Step(gpu.compute_s, gradient_bytes // 2, overhead_s)
    rows = []
    for network in NETWORKS:
        cluster = Cluster(ranks_per_node, NVLINK, network)
        shares = {ranks: efficiency(step, ranks, cluster) for ranks in RANKS}
        batches = {
            name: round(compute_s_for(WANTED, summed, RANKS[-1], cluster) * gpu.patients_per_s)
            for name, summed in (("float32", step), ("float16", halved))
        }
        rows.append(
            {
                "network": network.name,
                "efficiency": shares,
                "patients_per_s": {
                    ranks: ranks * gpu.patients_per_s * share for ranks, share in shares.items()
                },
                "batch_size_for_90_percent": batches,
            }
        )
    return rows
