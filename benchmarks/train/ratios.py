"""What the measurements say of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.train.table import rounded

SPEEDS = {"wall": "patients_per_s", "CPU": "patients_per_cpu_s"}
"""Of a busy machine only the second is of worth; of a GPU only the first."""


def ratios(measured: Mapping[str, Mapping[str, Any]], pairs: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """pairs: name of the ratio → two measurements; left out where one of them was not made."""
    return {
        f"{name}, patients by {clock}": rounded(measured[over][speed] / measured[under][speed])
        for name, (over, under) in pairs.items()
        if over in measured and under in measured
        for clock, speed in SPEEDS.items()
    }
