"""Throughput by number of GPUs as an SVG file, its text as text, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

COLOURS = ("#b3541e", "#c08a2b", "#3f7d6e", "#2d4f8a")
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "medbert-lake", "font.size": 10}


def draw(rows: Sequence[dict[str, Any]], path: str) -> None:
    """rows: of benchmarks.scaling.paper. Millions of patients/s over GPUs, both axes in doublings."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.4), layout="constrained")
        axes = figure.subplots()
        ranks = list(rows[0]["patients_per_s"])
        one = rows[0]["patients_per_s"][ranks[0]]
        axes.plot(
            ranks, [one * count / 1e6 for count in ranks], color="#999999", linestyle=":", label="ideal"
        )
        for row, colour in zip(rows, COLOURS, strict=True):
            speeds = [speed / 1e6 for speed in row["patients_per_s"].values()]
            axes.plot(ranks, speeds, color=colour, marker="o", markersize=4, label=row["network"])
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(ranks, [str(count) for count in ranks])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("GPUs")
        axes.set_ylabel("million patients/s")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
