"""The pictures of a data profile. Each takes plain numbers and gives an inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from reports.svg import COLOURS, inline, picture

# Of code systems, in the order of the systems' names.
SYSTEM_COLOURS = ("accent", "baseline-1", "baseline-2", "good", "muted")
_WIDE, _HIGH = 5.2, 2.5


def rows_by_month(
    name: str, months: Sequence[str], rows: Sequence[int | None], expected: Sequence[float | None], alt: str
) -> Markup:
    """A bar a month; a month without rows (0) is a band, one of too few patients (None) a dot at the foot.

    expected: the reference's rows by month, scaled, as a line; None where it has none.
    """
    with picture(_WIDE, _HIGH) as figure:
        axes = figure.subplots()
        places = range(len(months))
        axes.bar(places, [n or 0 for n in rows], width=0.86, color=COLOURS["accent"], zorder=3)
        for place, number in zip(places, rows, strict=True):
            if number == 0:
                axes.axvspan(place - 0.5, place + 0.5, color=COLOURS["bad"], linewidth=0, zorder=2)
        few = [place for place, number in zip(places, rows, strict=True) if number is None]
        axes.plot(few, [0] * len(few), "o", color=COLOURS["muted"], markersize=2, zorder=4, clip_on=False)
        if any(expected):
            line = [float("nan") if n is None else n for n in expected]
            axes.step(places, line, where="mid", color=COLOURS["baseline-1"], linewidth=1.2, zorder=5)
        _by_year(axes, months)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(_count))
        return inline(figure, name, alt)


def shares_by_month(name: str, months: Sequence[str], rows: Mapping[str, Sequence[int]], alt: str) -> Markup:
    """Shares of each month's rows by code system, stacked; a month without rows is left blank."""
    with picture(_WIDE, _HIGH) as figure:
        axes = figure.subplots()
        foot = [0.0] * len(months)
        totals = [sum(numbers) for numbers in zip(*rows.values(), strict=True)]
        for colour, numbers in zip(SYSTEM_COLOURS, rows.values(), strict=False):
            shares = [n / total if total else 0.0 for n, total in zip(numbers, totals, strict=True)]
            axes.bar(
                range(len(months)),
                shares,
                width=1.0,
                bottom=foot,
                color=COLOURS[colour],
                edgecolor=COLOURS[colour],
                linewidth=0.4,
            )
            foot = [low + share for low, share in zip(foot, shares, strict=True)]
        _by_year(axes, months)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return inline(figure, name, alt)


def share_bars(
    name: str, labels: Sequence[str], here: Sequence[float], there: Sequence[float], xlabel: str, alt: str
) -> Markup:
    """A bar a bin, as shares; there: the reference's shares, as a line across each bar (or empty)."""
    with picture(4.2, 2.5) as figure:
        axes = figure.subplots()
        places = list(range(len(labels)))
        axes.bar(places, here, width=0.8, color=COLOURS["accent"], zorder=3)
        for place, share in zip(places, there, strict=False):
            axes.hlines(share, place - 0.5, place + 0.5, color=COLOURS["baseline-1"], linewidth=2.2, zorder=4)
        crowded = len(labels) > 8 or sum(map(len, labels)) > 24
        axes.set_xticks(places, labels, rotation=45 if crowded else 0, ha="right" if crowded else "center")
        axes.set_xlabel(xlabel)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return inline(figure, name, alt)


def _by_year(axes: Axes, months: Sequence[str]) -> None:
    """Ticks at Januaries, at most about ten of them."""
    januaries = [place for place, month in enumerate(months) if month.endswith("-01")]
    if not januaries:
        axes.set_xticks([0], [months[0]])
    else:
        kept = januaries[:: -(-len(januaries) // 8)]
        axes.set_xticks(kept, [months[place][:-3] for place in kept])
    axes.set_xlim(-0.6, len(months) - 0.4)


def _count(value: float, _position: int) -> str:
    return f"{value:,.0f}"
