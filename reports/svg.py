"""Matplotlib pictures as inline SVG: the style sheet's colours, real text, the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# A stand-in colour that Matplotlib can draw with → the style sheet's variable, so that a picture follows the
# reader's light or dark theme. Each is a colour that nothing else in a picture has.
COLOURS = {
    "ink": "#010201",
    "muted": "#010202",
    "line": "#010203",
    "accent": "#010204",
    "accent-soft": "#010205",
    "baseline-1": "#010206",
    "baseline-2": "#010207",
    "good": "#010208",
    "bad": "#010209",
}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medbert-lake",
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.formatter.useoffset": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


@contextmanager
def picture(width: float = 4.2, height: float = 2.5) -> Iterator[Figure]:
    """A transparent figure (inches) in the page's style; draw in it and call `inline` before leaving."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0.0)
        yield figure


def inline(figure: Figure, name: str, alt: str) -> Markup:
    """The figure as an `<svg role="img">` element to put into a page.

    name: unique on the page; goes in front of every id. alt: what a reader who can't see the picture is told.
    """
    for axes in figure.axes:
        axes.patch.set_alpha(0.0)
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' font-family: [^;"]*;', "", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for variable, stand_in in COLOURS.items():
        text = text.replace(stand_in, f"var(--{variable})")
    text = re.sub(r"\n\s*\n+", "\n", text).strip()
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))
