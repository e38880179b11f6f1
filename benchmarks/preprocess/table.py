"""The results as Markdown and JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import psutil

from benchmarks import tables
from benchmarks.preprocess.process import Usage
from benchmarks.preprocess.stages import StageResult

MIB = 2**20


def machine(master: str, driver_memory: str) -> dict[str, Any]:
    """Where it ran, and how busy that machine was with other work when it began."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 1),
        "master": master,
        "driver_memory": driver_memory,
    }


def stage_row(result: StageResult, rows: int) -> dict[str, Any]:
    usage, metrics = result.usage, result.metrics
    return {
        "rows": rows,
        "wall_s": round(usage.wall_s, 1),
        "rows_per_s": round(rows / usage.wall_s),
        "cpu_s": round(usage.cpu_s, 1),
        "resident_peak_mib": round(usage.total_peak / MIB),
        "workers_peak_mib": round(usage.workers_peak / MIB),
        "heap_peak_mib": round(metrics.heap_peak / MIB),
        **{name: round(value, 1) for name, value in asdict(metrics).items()},
    }


def other_row(usage: Usage, rows: int, **more: Any) -> dict[str, Any]:
    return {
        "rows": rows,
        "wall_s": round(usage.wall_s, 1),
        "rows_per_s": round(rows / usage.wall_s),
        "cpu_s": round(usage.cpu_s, 1),
        "resident_peak_mib": round(usage.total_peak / MIB),
        **more,
    }


COLUMNS = {
    "step": "step",
    "wall_s": "wall s",
    "jobs_s": "in Spark jobs s",
    "cpu_s": "CPU s",
    "rows_per_s": "diagnosis rows/s",
    "shuffle_mib": "shuffle written + read MiB",
    "most_rows_shuffled": "rows in largest shuffle",
    "spill_mib": "spill MiB",
    "heap_peak_mib": "heap peak MiB",
    "workers_peak_mib": "Python peak MiB",
    "resident_peak_mib": "resident peak MiB",
}


def to_markdown(results: Mapping[str, Any]) -> str:
    """One table of all steps, then what was compared."""
    headline = f"{results['patients']:,} patients, {results['diagnoses']:,} diagnosis rows; " + ", ".join(
        f"{name} {value}" for name, value in results["machine"].items()
    )
    rows = [_row(name, row) for name, row in results["steps"].items()]
    return tables.markdown(headline, COLUMNS, rows, results["findings"])


def _row(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(row) | {"step": name}
    if "shuffle_write_bytes" in row:
        shown["shuffle_mib"] = round((row["shuffle_write_bytes"] + row["shuffle_read_bytes"]) / MIB, 1)
        shown["spill_mib"] = round(row["spill_disk_bytes"] / MIB, 1)
    return shown


def write(results: Mapping[str, Any], folder: str) -> Sequence[str]:
    """Write results.md and results.json; return their paths."""
    return tables.write(to_markdown(results), results, folder)
