"""Time what a drop of new claims costs: followed, the vocabulary extended, the sequences refreshed.

    python -m benchmarks.refresh --patients 1000000 --output runs/bench-refresh

That is one program (`make refresh`). Against it stands a full build of the same claims, ingest, vocabulary
and sequences, in one program and in three. Every step is a process of its own, so its time has its start-up
in it; a program that does nothing tells how much that is, and own work is what is beyond it. What refresh and
full build made is compared; the table is written to OUTPUT/results.md and results.json. Claims in
OUTPUT/claims already, of the same number, are used again.
"""

from __future__ import annotations

import argparse
import os
import shutil
from typing import Any

from benchmarks.preprocess import table
from benchmarks.preprocess.__main__ import manifest_of
from benchmarks.preprocess.stages import Chain, StageResult
from benchmarks.refresh.claims_in_two import rows_digest, split_claims
from schemas.claims import CLAIMS_FOLDER

JOBS = {"ingest": "ingest_claims", "vocabulary": "build_vocabulary", "sequences": "build_sequences"}
FOLDERS = {"ingest": "diagnoses", "vocabulary": "vocabulary", "sequences": "sequences"}


def main() -> None:
    options = parse()
    live, full, apart, landing = (f"{options.output}/{name}" for name in ("live", "full", "apart", "landing"))
    for folder in (live, full, apart, landing):
        shutil.rmtree(folder, ignore_errors=True)
    chain = Chain(options.output, f"{options.output}/logs", options.master, options.driver_memory)
    os.makedirs(chain.work, exist_ok=True)
    results: dict[str, Any] = {"machine": table.machine(options.master, options.driver_memory)}
    if manifest_of(f"{options.output}/claims").get("parameters", {}).get("patients") != options.patients:
        chain.generate(options.patients, options.seed)
    drop, before = f"{options.output}/drop.parquet", f"{options.output}/vocabulary_before"
    findings: dict[str, Any] = split_claims(f"{options.output}/claims/claims", landing, drop, options.share)

    first = [refresh(chain, "first-refresh", landing, live)]
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(f"{live}/vocabulary", before)
    os.rename(drop, f"{landing}/{CLAIMS_FOLDER}/new.parquet")
    new = [refresh(chain, "new-refresh", landing, live)]
    whole = [full_build(chain, landing, full, before)]
    three = full_build_apart(chain, landing, apart, before)
    nothing = [chain.submit("nothing", "nothing", [], "benchmarks/refresh")]

    rows = manifest_of(f"{full}/diagnoses")["counts"]["rows_in"]
    results |= {"patients": options.patients, "diagnoses": rows}
    results["steps"] = {
        result.name: table.stage_row(result, rows) for result in (*first, *new, *whole, *three, *nothing)
    }
    for name, of in (("wall", wall_s), ("CPU", cpu_s)):
        findings[f"new claims over full build in one program, {name}"] = round(of(new) / of(whole), 3)
        findings[f"new claims over full build in three programs, {name}"] = round(of(new) / of(three), 3)
        own, own_whole = of(new) - of(nothing), of(whole) - of(nothing)
        findings[f"the same without start-up, one program each, {name}"] = round(own / own_whole, 3)
    findings |= {f"{stage} equal": is_equal(stage, live, full) for stage in JOBS}
    findings["load at the end"] = round(os.getloadavg()[0], 1)
    results["findings"] = findings
    print(table.to_markdown(results))
    print("written:", *table.write(results, options.output))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.refresh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.01, help="which share of the claims is new")
    parser.add_argument("--output", default="runs/bench-refresh")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--driver_memory", default="4g")
    return parser.parse_args()


def refresh(chain: Chain, name: str, landing: str, folder: str) -> StageResult:
    """What `make refresh` does."""
    followed = ("--ingest.follow", "now", "--ingest.settle", "0")
    return chain.submit(name, "preprocess", [*in_one_program(landing, folder), *followed])


def full_build(chain: Chain, landing: str, folder: str, vocabulary: str) -> StageResult:
    """What `make preprocess` does up to sequences, with the older vocabulary's ids: so rows are equal."""
    options = [*in_one_program(landing, folder), "--vocabulary.extend", vocabulary]
    return chain.submit("full", "preprocess", options)


def in_one_program(landing: str, folder: str) -> list[str]:
    return [
        *("--ingest.source", "claims", "--ingest.input", landing, "--ingest.output", f"{folder}/diagnoses"),
        *("--vocabulary.diagnoses", f"{folder}/diagnoses", "--vocabulary.output", f"{folder}/vocabulary"),
        *("--sequences.diagnoses", f"{folder}/diagnoses", "--sequences.vocabulary", f"{folder}/vocabulary"),
        *("--sequences.output", f"{folder}/sequences"),
    ]


def full_build_apart(chain: Chain, landing: str, folder: str, vocabulary: str) -> list[StageResult]:
    """What `make ingest vocabulary sequences` does, likewise."""
    diagnoses = ["--diagnoses", f"{folder}/diagnoses"]
    options = {
        "ingest": ["--source", "claims", "--input", landing],
        "vocabulary": [*diagnoses, "--extend", vocabulary],
        "sequences": [*diagnoses, "--vocabulary", f"{folder}/vocabulary"],
    }
    return [
        chain.submit(f"full-{stage}", job, [*options[stage], "--output", f"{folder}/{FOLDERS[stage]}"])
        for stage, job in JOBS.items()
    ]


def is_equal(stage: str, live: str, full: str) -> bool:
    """Whether a stage's folder holds the same rows in both runs."""
    one, other = (rows_digest(f"{run}/{FOLDERS[stage]}/**/*.parquet") for run in (live, full))
    return one == other


def wall_s(results: list[StageResult]) -> float:
    return sum(result.usage.wall_s for result in results)


def cpu_s(results: list[StageResult]) -> float:
    return sum(result.usage.cpu_s for result in results)


if __name__ == "__main__":
    main()
