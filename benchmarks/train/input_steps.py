"""(a) The input pipeline alone: shards → reader → batches → masked and packed, on one process or several."""

from __future__ import annotations

import argparse
import multiprocessing
import resource
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.train.device import processor
from benchmarks.train.recorder import Recorder
from benchmarks.train.setup import options_parser, plan_of, setting_of, write_result
from trainer.core.input.slots import pack_batch


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--reader", choices=("arrow", "petastorm", "tfrecord"), required=True)
    parser.add_argument("--processes", type=int, required=True)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(options.processes), spawn.SimpleQueue()
    ranks = [
        spawn.Process(target=_measure, args=(options, rank, barrier, results))
        for rank in range(options.processes)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a process of the input pipeline ended with {process.exitcode}")
    write_result(options, together([results.get() for _ in ranks]))


def together(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Speeds of processes that ran at once, added up; the rest is the first one's, memory the largest."""
    summed = {key: sum(one[key] for one in results) for key in ("patients_per_s", "codes_per_s")}
    largest = max(one["resident_mib"] for one in results)
    return results[0] | summed | {"resident_mib": largest}


def _measure(options: argparse.Namespace, rank: int, barrier: Barrier, results: Any) -> None:
    setting = setting_of(options, options.reader)
    pack = partial(pack_batch, max_slots=setting.config.max_slots)
    steps = setting.steps(pack, rank, options.processes)
    next(steps)  # imports, the first shard
    barrier.wait()
    recorder = Recorder(plan_of(options))
    while not recorder.is_done:
        step = next(steps)
        recorder.after_step(step.num_patients, step.num_codes, step.num_slots)
    resident = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    results.put(recorder.summary() | processor().to_json() | {"resident_mib": resident})


if __name__ == "__main__":
    main()
