"""Whether a larger shard set takes more memory: the input pipeline, and a training run, of a million and ten.

    python -m benchmarks.train.memory --output runs/bench-memory

Each is a process of its own; the peak is that of its resident memory. The input pipeline passes over so many
seconds of shards; the training run is the trainer's own program for a few steps, its evaluation included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from typing import Any

from benchmarks import tables
from benchmarks.preprocess.process import run_measured
from benchmarks.train.__main__ import ROOT, environment
from benchmarks.train.shards import write_split, write_vocabulary
from schemas.shards import PARQUET

MIB = 2**20
COLUMNS = {
    "patients": "patients",
    "shards": "shards",
    "written_s": "written in s",
    "passed": "patients passed",
    "input_mib": "input pipeline, peak MiB",
    "training_mib": "training, peak MiB",
    "training_s": "training, s",
}


def main() -> None:
    options = parse()
    shutil.rmtree(options.output, ignore_errors=True)
    os.makedirs(options.output)
    rows = [measure(options, int(patients)) for patients in options.patients]
    headline = (
        f"{os.path.basename(options.preset)}, {options.steps} steps of {options.batch_size} patients, "
        f"{options.precision}, vocabulary of {options.vocabulary_size:,}"
    )
    text = tables.markdown(headline, COLUMNS, rows, {})
    print(text)
    print("written:", *tables.write(text, {"measured": rows}, options.output))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.train.memory", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--output", default="runs/bench-memory")
    parser.add_argument("--patients", nargs="+", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument("--vocabulary_size", type=int, default=82_603, help="the paper's")
    parser.add_argument("--preset", default=f"{ROOT}/configs/base.yaml")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the input pipeline")
    return parser.parse_args()


def measure(options: argparse.Namespace, patients: int) -> dict[str, Any]:
    """Shards of so many patients, and what reading and training on them takes; the shards are removed."""
    folder = f"{options.output}/{patients}"
    began = time.perf_counter()
    fingerprint = write_vocabulary(f"{folder}/vocabulary", options.vocabulary_size)
    for seed, (split, size) in enumerate((("train", patients), ("valid", 5_000))):
        uri = f"{folder}/shards/{split}"
        write_split(uri, size, options.vocabulary_size, fingerprint, seed, formats=(PARQUET,))
    written_s = time.perf_counter() - began
    passed = pass_over(options, folder)
    usage = run_measured(
        f"training, {patients:,} patients",
        [
            sys.executable, "-m", "trainer", "pretrain", "--config", options.preset,
            "--data.shards", f"{folder}/shards", "--data.vocabulary", f"{folder}/vocabulary",
            "--output", f"{folder}/run", "--steps", str(options.steps), "--eval_patients", "2000",
            "--batch_size", str(options.batch_size), "--precision", options.precision,
        ],
        environment("cpu"),
        f"{options.output}/training.log",
    )  # fmt: skip
    shards = len(os.listdir(f"{folder}/shards/train")) - 1  # beside the manifest
    shutil.rmtree(folder)
    return {
        "patients": patients,
        "shards": shards,
        "written_s": round(written_s),
        "passed": sum(one["patients"] for one in passed["repetitions"]),
        "input_mib": passed["resident_mib"],
        "training_mib": round(usage.total_peak / MIB),
        "training_s": round(usage.wall_s),
    }


def pass_over(options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """The input pipeline's result."""
    result = f"{options.output}/input.json"
    command = [
        sys.executable, "-m", "benchmarks.train.input_steps", "--data", folder, "--preset", options.preset,
        "--batch_size", str(options.batch_size), "--warm_up", "1", "--repetitions", "1",
        "--seconds", str(options.seconds), "--result", result, "--reader", "arrow", "--processes", "1",
    ]  # fmt: skip
    run_measured("input pipeline", command, environment("cpu"), f"{options.output}/input.log")
    with open(result, encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    main()
