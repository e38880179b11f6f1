"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import tables

COLUMNS = {
    "way": "",
    "batch_size": "patients a step",
    "patients_per_s": "patients/s",
    "codes_per_s": "codes/s",
    "slowest_to_fastest": "patients/s of a process",
    "patients_per_cpu_s": "patients a CPU second",
    "codes_per_cpu_s": "codes a CPU second",
    "filled": "slots filled",
    "input_wait": "waiting for input",
    "resident_mib": "resident peak MiB",
    "load": "load",
}


def row(way: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A measurement's line. result: a Recorder's summary and what __main__ adds to it."""
    speeds = [one["patients"] / one["wall_s"] for one in result["repetitions"]]
    return {
        "way": way,
        **{name: result[name] for name in ("batch_size", "resident_mib", "load")},
        **{
            name: rounded(result[name])
            for name in ("patients_per_s", "codes_per_s", "patients_per_cpu_s", "codes_per_cpu_s")
        },
        "slowest_to_fastest": f"{rounded(min(speeds)):,} to {rounded(max(speeds)):,}",
        **{name: f"{result[name]:.1%}" for name in ("filled", "input_wait") if name in result},
    }


def rounded(value: float) -> float | int:
    """Three significant digits below 100, whole numbers from there."""
    return round(value) if value >= 100 else float(f"{value:.3g}")


def to_markdown(results: Mapping[str, Any]) -> str:
    """One table of all measurements, then their ratios."""
    data, measured = results["data"], results["measured"]
    headline = (
        f"{data['patients']:,} patients of {data['codes_a_patient']} codes (longest {data['longest']}), "
        f"vocabulary of {data['vocabulary_size']:,}, {results['preset']}; "
        f"on {' and '.join(results['devices'])}; "
        f"load {results['load_before']} before, {results['load_after']} after"
    )
    return tables.markdown(
        headline, COLUMNS, [row(way, one) for way, one in measured.items()], results["findings"]
    )
