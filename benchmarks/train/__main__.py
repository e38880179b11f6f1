"""Time training: the input pipeline, both backends, and what they are measured against.

    python -m benchmarks.train --output runs/bench-train

On one set of shards, made here, and one model:
(a) the input pipeline alone, for each reader, on 1 and 2 processes;
(b) training steps of both backends, input pipeline included;
(c) what a user would pick instead: transformers' Trainer with batches padded to the longest;
(d) as the original ran: padded to 512, the vocabulary head on masked codes only, 32 patients a step;
(e) only when asked for: PyTorch's steps in bfloat16, compiled (for GPUs).
Every measurement is a process of its own. The table is written to OUTPUT/results.md and results.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import tables
from benchmarks.preprocess.process import run_measured
from benchmarks.train import table
from benchmarks.train.ratios import ratios
from benchmarks.train.shards import MEAN, median_of, write_split, write_vocabulary
from schemas.shards import PARQUET, read_shard_set
from trainer.config import MAX_SLOTS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 2**20
READERS, PROCESSES = ("arrow", "petastorm", "tfrecord"), (1, 2)
TORCH, TORCH_BF16 = "(b) PyTorch, float32", "(b) PyTorch, bfloat16"
TORCH_COMPILED = "(e) PyTorch, bfloat16, compiled"
TENSORFLOW, TENSORFLOW_BF16 = "(b) TensorFlow, float32", "(b) TensorFlow, bfloat16"
TRAINER, PADDED = "(c) transformers' Trainer", "(d) padded to the full length"
PAIRS = {
    "PyTorch over (c)": (TORCH, TRAINER),
    "PyTorch over (d)": (TORCH, PADDED),
    "PyTorch bfloat16 over (c)": (TORCH_BF16, TRAINER),
    "PyTorch bfloat16 over (d)": (TORCH_BF16, PADDED),
    "PyTorch bfloat16 over float32": (TORCH_BF16, TORCH),
    "PyTorch compiled over not": (TORCH_COMPILED, TORCH_BF16),
    "PyTorch over TensorFlow": (TORCH, TENSORFLOW),
    "PyTorch bfloat16 over TensorFlow bfloat16": (TORCH_BF16, TENSORFLOW_BF16),
}


def main() -> None:
    options = parse()
    os.makedirs(options.output, exist_ok=True)
    load_before = round(os.getloadavg()[0], 1)
    data = write_data(options)
    measured = {name: measure(options, name, *way) for name, way in ways(options).items()}
    results: dict[str, Any] = {
        "data": data,
        "preset": os.path.basename(options.preset),
        "devices": sorted({one["device"] for one in measured.values()}),
        "load_before": load_before,
        "load_after": round(os.getloadavg()[0], 1),
        "measured": measured,
        "findings": ratios(measured, PAIRS) | breakdowns(measured) | left_out(options),
    }
    text = table.to_markdown(results)
    print(text)
    print("written:", *tables.write(text, results, options.output))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", default="runs/bench-train")
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--codes_a_patient", type=float, default=MEAN, help="mean, nearly")
    parser.add_argument("--vocabulary_size", type=int, default=82_603, help="the paper's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default=f"{ROOT}/configs/med-bert-2020.yaml", help="model and masking")
    parser.add_argument("--batch_size", type=int, default=512, help="of our backends and the input pipeline")
    parser.add_argument("--max_slots", type=int, default=MAX_SLOTS, help="of PyTorch: see trainer/config.py")
    parser.add_argument(
        "--profile_steps", type=int, default=0, help="of PyTorch: steps to take apart at the end"
    )
    parser.add_argument("--reference_batch_size", type=int, default=32, help="of (c) and (d)")
    parser.add_argument("--warm_up", type=int, default=3, help="steps before the first that is timed")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a repetition, at least")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--only", default="abcd", help='which measurements, e.g. "bc"')
    return parser.parse_args()


def write_data(options: argparse.Namespace) -> dict[str, Any]:
    """Vocabulary and shards below OUTPUT/data, anew; what they hold."""
    folder = f"{options.output}/data"
    shutil.rmtree(folder, ignore_errors=True)
    fingerprint = write_vocabulary(f"{folder}/vocabulary", options.vocabulary_size)
    train = f"{folder}/shards/train"
    median = median_of(options.codes_a_patient)
    write_split(train, options.patients, options.vocabulary_size, fingerprint, options.seed, median=median)
    shards = read_shard_set(train, PARQUET)
    return {
        "patients": shards.num_patients,
        "codes_a_patient": round(shards.num_codes / shards.num_patients, 1),
        "longest": max(shards.length_histogram),
        "vocabulary_size": shards.vocabulary_size,
    }


def ways(options: argparse.Namespace) -> dict[str, tuple[str, int, list[str]]]:
    """Name of a measurement → its module, patients a step, and options of its own."""
    ours, reference = options.batch_size, options.reference_batch_size
    torch = ["--backend", "torch"]
    torch += [f"--{name}={getattr(options, name)}" for name in ("max_slots", "profile_steps")]
    found = {
        f"(a) {reader}, {processes} process{'es' * (processes > 1)}": (
            "input_steps",
            ours,
            ["--reader", reader, "--processes", str(processes)],
        )
        for reader in READERS
        for processes in PROCESSES
    }
    found |= {
        TORCH: ("backend_steps", ours, torch),
        TORCH_BF16: ("backend_steps", ours, [*torch, "--precision", "bfloat16"]),
        TORCH_COMPILED: ("backend_steps", ours, [*torch, "--precision", "bfloat16", "--compile"]),
        TENSORFLOW: ("backend_steps", ours, ["--backend", "tensorflow"]),
        TENSORFLOW_BF16: ("backend_steps", ours, ["--backend", "tensorflow", "--precision", "bfloat16"]),
        TRAINER: ("trainer_steps", reference, []),
        PADDED: ("padded_steps", reference, []),
    }
    return {
        name: way
        for name, way in found.items()
        if name[1] in options.only and not (name == TRAINER and left_out(options))
    }


def breakdowns(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Where the time of a way's step goes, see breakdown.shares; of those that were taken apart."""
    return {
        f"{name}, where a step's time goes": ", ".join(f"{part} {value}" for part, value in found.items())
        for name, one in measured.items()
        if (found := one.get("breakdown"))
    }


def left_out(options: argparse.Namespace) -> dict[str, str]:
    """What was asked for and cannot be measured here, and why."""
    if "c" in options.only and not importlib.util.find_spec("accelerate"):
        return {f"{TRAINER} left out": "it needs the package accelerate, which is not installed"}
    return {}


def measure(
    options: argparse.Namespace, name: str, module: str, batch_size: int, more: list[str]
) -> dict[str, Any]:
    """Run one measurement in a process of its own. Raises RuntimeError."""
    result, logs = f"{options.output}/measured.json", f"{options.output}/logs"
    os.makedirs(logs, exist_ok=True)
    command = [
        sys.executable, "-m", f"benchmarks.train.{module}", "--data", f"{options.output}/data",
        "--preset", options.preset, "--batch_size", str(batch_size), "--result", result,
        *(word for option in ("warm_up", "repetitions", "seconds")
          for word in (f"--{option}", str(getattr(options, option)))),
        *more,
    ]  # fmt: skip
    load = round(os.getloadavg()[0], 1)
    usage = run_measured(name, command, environment(options.device), f"{logs}/{module}.log")
    with open(result, encoding="utf-8") as file:
        found = json.load(file)
    if module != "input_steps" and options.device == "cuda" and not found["on_gpu"]:
        raise RuntimeError(f"{name} found no GPU: is the framework built for CUDA, and a GPU visible?")
    resident = round(usage.total_peak / MIB)
    return {"resident_mib": resident, "load": load, "batch_size": batch_size} | found


def environment(device: str) -> Mapping[str, str]:
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return (
        os.environ
        | {"PYTHONPATH": os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])}
        | hidden
        | QUIET
    )


QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    main()
