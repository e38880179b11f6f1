"""Seconds to sum arrays of several sizes over the ranks, through the trainer's own collectives.

Run under Horovod; the first rank writes the JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from trainer.core.world import detect_world
from trainer.torch_backend.collectives import Collectives


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", required=True, help="bytes")
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--result", required=True, help="the JSON to write")
    options = parser.parse_args()
    world = detect_world()
    collectives = Collectives(world)
    seconds = [measure(collectives, num_bytes, options.repetitions) for num_bytes in options.sizes]
    if world.is_first:
        with open(options.result, "w", encoding="utf-8") as file:
            json.dump(seconds, file)


def measure(collectives: Collectives, num_bytes: int, repetitions: int) -> float:
    """The fastest of some sums (other work only makes them slower), after two to warm up."""
    tensors = [torch.ones(num_bytes // 4)]
    found = []
    for _ in range(repetitions + 2):
        started = time.perf_counter()
        collectives.sum_in_place(f"scaling.{num_bytes}", tensors)
        found.append(time.perf_counter() - started)
    return min(found[2:])


if __name__ == "__main__":
    main()
