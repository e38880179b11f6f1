"""Time the chain from claims to shards, beside DuckDB and a pandas loop, and write a table.

    python -m benchmarks.preprocess --patients 1000000 --output runs/bench

Every step is a process of its own, so its time has its start-up in it. What the three made is compared; the
table is written to OUTPUT/results.md and results.json. Claims that lie in OUTPUT/claims already, of the same
number and seed, are used again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from benchmarks.preprocess import compare, table
from benchmarks.preprocess.copies import write_copies
from benchmarks.preprocess.process import run_measured
from benchmarks.preprocess.skew import write_skewed
from benchmarks.preprocess.stages import ROOT, STAGES, Chain, StageResult

UP_TO_SEQUENCES = STAGES[:3]


def main() -> None:
    options = parse()
    chain = chain_in(options, options.output)
    results: dict[str, Any] = {"machine": table.machine(options.master, options.driver_memory)}
    if manifest_of(f"{options.output}/claims").get("parameters", {}).get("patients") != options.patients:
        chain.generate(options.patients, options.seed)

    ours = run_chain(chain)
    rows = manifest_of(f"{options.output}/diagnoses")["counts"]["rows_in"]
    results |= {"patients": options.patients, "diagnoses": rows}
    results["steps"] = steps = {name: table.stage_row(result, rows) for name, result in ours.items()}
    results["findings"] = findings = {}
    findings["ingest + vocabulary + sequences, three programs, s"] = round(seconds(ours), 1)
    if not options.no_duckdb:
        duckdb_beside(options, chain, rows, steps, findings)
    if options.pandas_patients:
        pandas_beside(options, ours["sequences"].usage.wall_s, steps, findings)
    if options.skew:
        skewed_beside(options, rows, seconds(ours, STAGES), steps, findings)
    if options.grow > 1:
        grown_beside(options, rows, seconds(ours, STAGES), steps, findings)
    findings["load at the end"] = round(os.getloadavg()[0], 1)
    print(table.to_markdown(results))
    print("written:", *table.write(results, options.output))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.preprocess", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="runs/bench-preprocess")
    parser.add_argument("--master", default="local[2]", help="DuckDB gets the threads of local[N]")
    parser.add_argument("--driver_memory", default="4g", help="Spark's heap; DuckDB's memory_limit")
    parser.add_argument("--pandas_patients", type=int, default=20_000, help="0 leaves the pandas loop out")
    parser.add_argument("--no_duckdb", action="store_true")
    parser.add_argument("--skew", action="store_true", help="run the chain on skewed claims as well")
    parser.add_argument(
        "--grow", type=int, default=1, help="run the chain on so many times the patients as well"
    )
    return parser.parse_args()


def duckdb_beside(options: argparse.Namespace, chain: Chain, rows: int, steps: dict, findings: dict) -> None:
    """The chain up to sequences in one program of either."""
    folder, of = chain.folder, "" if chain.folder == options.output else f", {options.grow} times"
    ours = chain.run_up_to_sequences()
    steps[f"ingest to sequences, one program{of}"] = table.stage_row(ours, rows)
    output, claims = f"{folder}/duckdb", f"{folder}/claims/claims"
    os.makedirs(output, exist_ok=True)
    salt = manifest_of(f"{folder}/vocabulary")["parameters"]["split_salt"]
    measured(options, "splits", "splits", claims, salt, f"{output}/splits")
    threads = options.master.removeprefix("local[").removesuffix("]")
    memory = f"{options.driver_memory.rstrip('gG')}GB"
    usage = measured(
        options, "duckdb", "duckdb_chain", f"{claims}/*.parquet", f"{output}/splits/*.parquet", output,
        threads, memory,
    )  # fmt: skip
    with open(f"{output}/seconds.json", encoding="utf-8") as file:
        steps[f"DuckDB, the same{of}"] = table.other_row(usage, rows, seconds=json.load(file))
    findings[f"our time over DuckDB's, one program each{of}"] = round(ours.usage.wall_s / usage.wall_s, 2)
    findings[f"our CPU time over DuckDB's{of}"] = round(ours.usage.cpu_s / usage.cpu_s, 2)
    findings[f"codes that differ from DuckDB's{of}"] = compare.vocabularies_that_differ(
        f"{folder}/vocabulary", f"{output}/vocabulary.parquet"
    )
    findings[f"sequences that differ from DuckDB's{of}"] = compare.sequences_that_differ(
        f"{folder}/sequences", f"{output}/sequences.parquet"
    )


def pandas_beside(options: argparse.Namespace, ours_s: float, steps: dict, findings: dict) -> None:
    sample, made = f"{options.output}/pandas_input.parquet", f"{options.output}/pandas_sequences.parquet"
    patients = compare.first_patients(f"{options.output}/diagnoses", options.pandas_patients, sample)
    usage = measured(options, "pandas loop", "pandas_loop", sample, made)
    rows = compare.rows_in(sample)
    steps[f"pandas loop, sequences only, {patients:,} patients"] = table.other_row(usage, rows)
    loop, ours = patients / usage.wall_s, options.patients / ours_s
    findings["patients/s, pandas loop (sequences only)"] = round(loop)
    findings["patients/s, ours (sequences, start-up included)"] = round(ours)
    findings["ours over the pandas loop"] = round(ours / loop, 1)
    findings["patients that differ from the pandas loop's"] = compare.loop_rows_that_differ(
        f"{options.output}/sequences", f"{options.output}/vocabulary", made
    )


def skewed_beside(options: argparse.Namespace, rows: int, ours_s: float, steps: dict, findings: dict) -> None:
    folder = f"{options.output}/skewed"
    write_skewed(f"{options.output}/claims/claims", f"{folder}/claims/claims")
    skewed = run_chain(chain_in(options, folder))
    steps |= {f"{name}, skewed": table.stage_row(result, rows) for name, result in skewed.items()}
    findings["whole chain, skewed over even"] = round(seconds(skewed, STAGES) / ours_s, 2)


def grown_beside(options: argparse.Namespace, rows: int, ours_s: float, steps: dict, findings: dict) -> None:
    folder, times = f"{options.output}/grown", options.grow
    write_copies(f"{options.output}/claims/claims", f"{folder}/claims/claims", times)
    chain = chain_in(options, folder)
    grown = run_chain(chain)
    steps |= {
        f"{name}, {times} times": table.stage_row(result, times * rows) for name, result in grown.items()
    }
    findings[f"whole chain, {times} times the patients over once"] = round(seconds(grown, STAGES) / ours_s, 2)
    if not options.no_duckdb:
        duckdb_beside(options, chain, times * rows, steps, findings)


def chain_in(options: argparse.Namespace, folder: str) -> Chain:
    chain = Chain(folder, f"{folder}/logs", options.master, options.driver_memory)
    os.makedirs(chain.work, exist_ok=True)
    return chain


def run_chain(chain: Chain) -> dict[str, StageResult]:
    """All stages on the claims in the folder, a program each."""
    return {name: chain.run(name) for name in STAGES}


def measured(options: argparse.Namespace, name: str, module: str, *arguments: str):
    command = [sys.executable, "-m", f"benchmarks.preprocess.{module}", *arguments]
    log = f"{options.output}/logs/{module}.log"
    return run_measured(name, command, os.environ | {"PYTHONPATH": ROOT}, log)


def manifest_of(folder: str) -> dict[str, Any]:
    try:
        with open(f"{folder}/manifest.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def seconds(results: dict[str, StageResult], names: tuple[str, ...] = UP_TO_SEQUENCES) -> float:
    return sum(results[name].usage.wall_s for name in names)


if __name__ == "__main__":
    main()
