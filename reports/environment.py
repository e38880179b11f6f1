"""The templates, and what every page has: the style sheet, and the filters for numbers and names."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import numbers
from reports.names import code_name

STYLE = "style.css"


def environment(**filters: Callable[..., Any]) -> Environment:
    """The templates of reports/templates, with a page's own filters beside the common ones."""
    made = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    common: dict[str, Callable[..., Any]] = {
        "count": numbers.count,
        "number": numbers.number,
        "percent": numbers.percentage,
        "size": numbers.size,
        "code_name": code_name,
    }
    made.filters.update(common | filters)
    made.globals["style"] = Markup(files("reports").joinpath(STYLE).read_text(encoding="utf-8"))
    return made
