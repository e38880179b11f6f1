"""Seconds of a training step (PyTorch), by the clock and of CPU, on one rank or, under Horovod, on several.

The input pipeline is part of it. The first rank writes the JSON, of its own steps. Each rank has as many
patients a step, however many ranks there are. By the clock the fastest step counts: other work on the machine
makes steps slower, never faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np

from benchmarks.train.setup import setting_of
from trainer.backends import backend_maker
from trainer.core.backend import StepTotals
from trainer.core.input.prefetch import Prefetch
from trainer.core.world import detect_world


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with shards/ and vocabulary/")
    parser.add_argument("--preset", required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True, help="steps that count")
    parser.add_argument("--result", required=True, help="the JSON to write")
    options = parser.parse_args()
    setting, world = setting_of(options), detect_world()
    config = setting.config
    backend = backend_maker(config)(setting.model, config.optimizer, world, config.seed)
    backend.broadcast_weights()
    steps = Prefetch(setting.steps(backend.pack, world.rank, world.size))
    wall_s, cpu_s = [], []
    try:
        for step in range(1, options.repetitions + 3):  # two to warm up
            started, cpu = time.perf_counter(), time.process_time()
            step_input = next(steps)
            local = np.asarray([step_input.num_masked, step_input.num_patients])
            masked, patients = backend.all_reduce("scaling.totals", local).tolist()
            totals = StepTotals(masked, patients)
            backend.train_step(step_input.packed, totals, config.optimizer.learning_rate, step)
            wall_s.append(time.perf_counter() - started)
            cpu_s.append(time.process_time() - cpu)
    finally:
        steps.close()
    if world.is_first:
        with open(options.result, "w", encoding="utf-8") as file:
            json.dump({"wall_s": min(wall_s[2:]), "cpu_s": statistics.median(cpu_s[2:])}, file)


if __name__ == "__main__":
    main()
