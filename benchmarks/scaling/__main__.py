"""Time training on 1 and 2 processes, and work out on paper what 64 GPUs would do.

    python -m benchmarks.scaling --output runs/bench-scaling

Measured here: sums over two ranks by size (Gloo), and training steps of the paper's model on one and on two
ranks, each with as many patients. The model (benchmarks.scaling.model) is fitted to the sums; that it
foretells the step on two ranks is its test. Then GPUs: what they compute is an option, networks are those of
benchmarks.scaling.paper.
It writes results.md, results.json and scaling.svg.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from typing import Any

from benchmarks import tables
from benchmarks.preprocess.process import run_measured
from benchmarks.scaling import paper, picture
from benchmarks.scaling.model import SMALL_SUM_BYTES, fit
from benchmarks.train.shards import write_split, write_vocabulary
from schemas.bert_names import transformers_shapes
from trainer.__main__ import make_parser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZES = tuple(1 << power for power in range(10, 28, 2))
BYTES_A_NUMBER = 4


def main() -> None:
    options = parse()
    shutil.rmtree(options.output, ignore_errors=True)
    os.makedirs(options.output)
    load_before = round(os.getloadavg()[0], 1)
    fingerprint = write_vocabulary(f"{options.output}/data/vocabulary", options.vocabulary_size)
    for split in ("train", "valid"):
        write_split(
            f"{options.output}/data/shards/{split}",
            options.patients,
            options.vocabulary_size,
            fingerprint,
            options.seed,
        )
    gradient_bytes = num_parameters(options.preset, options.vocabulary_size) * BYTES_A_NUMBER
    sums = measure(options, "all_reduce", 2, "--sizes", *map(str, SIZES), "--repetitions", "20")
    overhead_s, bytes_per_s = fit(SIZES, sums, 2)
    step_options = (
        *("--data", f"{options.output}/data", "--preset", options.preset),
        *("--batch_size", str(options.batch_size), "--repetitions", str(options.steps)),
    )
    steps = {ranks: measure(options, "steps", ranks, *step_options) for ranks in (1, 2)}
    gpu = paper.Gpu(options.gpu_patients_per_s, options.gpu_batch_size)
    results: dict[str, Any] = {
        "load_before": load_before,
        "load_after": round(os.getloadavg()[0], 1),
        "all_reduce": [
            {"bytes": size, "ms": round(1e3 * seconds, 2), "mb_per_s": round(size / seconds / 1e6)}
            for size, seconds in zip(SIZES, sums, strict=True)
        ],
        "overhead_ms": round(1e3 * overhead_s, 2),
        "bytes_per_s": round(bytes_per_s),
        "gradient_bytes": gradient_bytes,
        "steps": steps,
        "foretold_step_s": steps[1]["wall_s"]
        + 2 * overhead_s
        + (gradient_bytes + SMALL_SUM_BYTES) / bytes_per_s,
        "gpu": vars(gpu) | {"ranks_per_node": options.ranks_per_node},
        "paper": paper.scale(gpu, gradient_bytes, overhead_s, options.ranks_per_node),
    }
    picture.draw(results["paper"], f"{options.output}/scaling.svg")
    text = to_markdown(results, options.batch_size)
    print(text)
    print("written:", *tables.write(text, results, options.output), f"{options.output}/scaling.svg")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", default="runs/bench-scaling", help="made anew")
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--vocabulary_size", type=int, default=82_603, help="the paper's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default=f"{ROOT}/configs/med-bert-2020.yaml")
    parser.add_argument("--batch_size", type=int, default=256, help="patients a step on each rank, here")
    parser.add_argument("--steps", type=int, default=20, help="that are timed, here")
    parser.add_argument("--gpu_patients_per_s", type=float, default=400_000, help="of one GPU, on paper")
    parser.add_argument("--gpu_batch_size", type=int, default=4096, help="of each GPU, on paper")
    parser.add_argument("--ranks_per_node", type=int, default=8, help="GPUs of a node, on paper")
    return parser.parse_args()


def num_parameters(preset: str, vocabulary_size: int) -> int:
    """Numbers of which a step has a gradient."""
    parsed = make_parser().parse_args(
        ["pretrain", "--config", preset, "--output", "", "--data.shards", "", "--data.vocabulary", ""]
    )
    model = make_parser().instantiate(parsed)["pretrain"]["model"].bert_config(vocabulary_size)
    return sum(math.prod(shape) for shape in transformers_shapes(model).values())


def measure(options: argparse.Namespace, module: str, ranks: int, *more: str) -> Any:
    """What a module of this folder found on so many ranks, one thread each. Raises RuntimeError."""
    result = f"{options.output}/measured.json"
    launcher = [sys.executable, "-m", "trainer.launch", "-np", str(ranks), "--gloo"] if ranks > 1 else []
    command = [*launcher, sys.executable, "-m", f"benchmarks.scaling.{module}", "--result", result, *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ROOT}
    run_measured(f"{module}, {ranks} ranks", command, environment, f"{options.output}/{module}-{ranks}.log")
    with open(result, encoding="utf-8") as file:
        return json.load(file)


def to_markdown(results: dict[str, Any], batch_size: int) -> str:
    alone, together = results["steps"][1], results["steps"][2]
    measured = {
        "step on one rank, seconds": round(alone["wall_s"], 3),
        "step on two ranks": round(together["wall_s"], 3),
        "foretold": round(results["foretold_step_s"], 3),
        "CPU seconds of the first rank's step (median), alone and on two": f"{alone['cpu_s']:.3f}, "
        f"{together['cpu_s']:.3f}",
        "patients/s on one rank": round(batch_size / alone["wall_s"]),
        "patients/s on two": round(2 * batch_size / together["wall_s"]),
        "efficiency on two": f"{alone['wall_s'] / together['wall_s']:.0%}",
        "gradient, MB": round(results["gradient_bytes"] / 1e6, 1),
        "sums: overhead, ms": results["overhead_ms"],
        "sums: MB/s": round(results["bytes_per_s"] / 1e6),
        "load before and after": f"{results['load_before']}, {results['load_after']}",
    }
    gpu = results["gpu"]
    rows = [
        {"network": row["network"], **row["batch_size_for_90_percent"]}
        | {
            ranks: f"{row['patients_per_s'][ranks] / 1e6:.1f} M ({share:.0%})"
            for ranks, share in row["efficiency"].items()
        }
        for row in results["paper"]
    ]
    columns = {"network": "network between nodes"} | {
        count: f"{count} GPU{'s' * (count > 1)}" for count in paper.RANKS
    }
    return (
        tables.markdown(
            "Sums over two ranks of this machine",
            {"bytes": "bytes", "ms": "ms", "mb_per_s": "MB/s"},
            results["all_reduce"],
            measured,
        )
        + "\n"
        + tables.markdown(
            f"On paper: patients/s (efficiency), {gpu['patients_per_s']:,.0f} patients/s and "
            f"{gpu['batch_size']:,} patients a step on each GPU, {gpu['ranks_per_node']} GPUs a node",
            columns | {"float32": "batch a GPU for 90% on 64", "float16": "with fp16 compression"},
            rows,
            {},
        )
    )


if __name__ == "__main__":
    main()
