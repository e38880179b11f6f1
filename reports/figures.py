"""The page's pictures. Each takes plain numbers and gives an inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from markupsafe import Markup
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from reports.numbers import scientific
from reports.svg import COLOURS, inline, picture

LINE_STYLES = {"solid": "-", "plain": "-", "dashed": (0, (5, 2)), "dotted": (0, (1.2, 1.8)), "faint": "-"}
_WIDE = 5.2
_MOST_POINTS = 400
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it."""

    title: str
    svg: Markup
    caption: str


@dataclass(frozen=True)
class Line:
    """One line of a chart: its points, and how it is drawn (a key of COLOURS, a key of LINE_STYLES)."""

    label: str
    colour: str
    style: str
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True)
class Mark:
    """A place on the horizontal axis where something happened. colour: a key of COLOURS."""

    place: float
    colour: str


def curves(
    name: str,
    lines: Sequence[Line],
    alt: str,
    marks: Sequence[Mark] = (),
    *,
    axis: str = "step",
    percent: bool = False,
    at_least: tuple[float, float] | None = None,
) -> Markup:
    """Lines over the optimiser step; a line of few points has them marked, one of very many is thinned.

    axis: what the horizontal axis shows; at_least: values that the vertical axis reaches to at both ends,
    whatever the points are.
    """
    with picture() as figure:
        axes = figure.subplots()
        for line in lines:
            steps, values = zip(*thinned(line.points), strict=True)
            marked = line.style == "solid" and len(line.points) <= 12
            axes.plot(
                steps,
                values,
                color=COLOURS[line.colour],
                linestyle=LINE_STYLES[line.style],
                linewidth=1.0 if line.style == "faint" else 1.8,
                marker="o" if marked else "",
                markersize=3.5,
                zorder=2 if line.style == "faint" else 3,
            )
        for mark in marks:
            axes.axvline(
                mark.place, color=COLOURS[mark.colour], linestyle=LINE_STYLES["dotted"], linewidth=1.2
            )
        if at_least is not None:
            _, top = axes.get_ylim()
            lowest = min(value for line in lines for _, value in line.points)
            axes.set_ylim(min(at_least[0], lowest), max(at_least[1], top))
        axes.set_xlabel(axis)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=axis == "step"))
        axes.xaxis.set_major_formatter(FuncFormatter(_count if axis == "step" else _plain))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0) if percent else FuncFormatter(_plain))
        return inline(figure, name, alt)


def thinned(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Means of neighbours where a long run has more points than a chart can show."""
    size = -(-len(points) // _MOST_POINTS)
    groups = (points[start : start + size] for start in range(0, len(points), max(size, 1)))
    return tuple((fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups)


def length_histogram(
    name: str, edges: Sequence[int], patients: Sequence[int], alt: str, cut: int | None
) -> Markup:
    """Patients by number of codes, logarithmic. cut: the trainer's max_seq_length, drawn as a line."""
    with picture(_WIDE, 2.7) as figure:
        axes = figure.subplots()
        widths = [right - left for left, right in pairwise(edges)]
        axes.bar(
            edges[:-1],
            patients,
            widths,
            align="edge",
            color=COLOURS["accent"],
            edgecolor=COLOURS["accent-soft"],
            linewidth=0.8,
        )
        axes.set_xscale("log")
        ticks = [2**n for n in range(20) if edges[0] <= 2**n <= edges[-1]]
        if cut is not None and cut <= edges[-1] * 2:
            axes.axvline(cut, color=COLOURS["baseline-1"], linestyle=LINE_STYLES["dashed"], linewidth=1.4)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_count))
        axes.set_xlabel("codes a patient")
        axes.set_ylabel("patients")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(_count))
        return inline(figure, name, alt)


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of one output, in float32, with its limit, and in bfloat16 (None: not
    compared)."""

    output: str
    float32: float
    limit: float
    bfloat16: float | None


def parity_bars(name: str, differences: Sequence[Difference], alt: str) -> Markup:
    """A wide bar for float32 and a thin one for bfloat16 per output, logarithmic, against its limit."""
    shown = [value for d in differences for value in (d.float32, d.limit, d.bfloat16 or 0)]
    floor = min(filter(None, shown)) / 10
    with picture(_WIDE, 0.75 + 0.27 * len(differences)) as figure:
        axes = figure.subplots()
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        for place, difference in enumerate(differences):
            colour = COLOURS["accent" if difference.float32 <= difference.limit else "bad"]
            axes.barh(place - 0.1, max(difference.float32, floor), height=0.5, color=colour)
            axes.barh(place + 0.27, max(difference.bfloat16 or 0, floor), height=0.16, color=COLOURS["muted"])
            text = scientific(difference.float32) if difference.float32 else "equal"
            axes.text(1.02, place, text, va="center", transform=axes.get_yaxis_transform())
        limits = [difference.limit for difference in differences]
        tops = [place - 0.5 for place in range(len(differences))]
        axes.vlines(
            limits,
            tops,
            [top + 1 for top in tops],
            color=COLOURS["baseline-1"],
            linestyle=LINE_STYLES["dashed"],
            linewidth=1.4,
        )
        axes.set_xscale("log")
        axes.set_xlim(floor, max(shown) * 3)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_power_of_ten))
        axes.set_yticks(range(len(differences)), [difference.output for difference in differences])
        axes.invert_yaxis()
        axes.set_xlabel("largest absolute difference")
        return inline(figure, name, alt)


def _count(value: float, _position: int) -> str:
    return f"{value:,.0f}"


def _plain(value: float, _position: int) -> str:
    return f"{value:,.4g}" if value == 0 or abs(value) >= 1e-2 else scientific(value)


def _power_of_ten(value: float, _position: int) -> str:
    return "10" + f"{value:.0e}".split("e")[1].lstrip("+").replace("-0", "-").translate(_SUPERSCRIPT)
