"""What every benchmark writes: a Markdown table with its findings, and a JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def markdown(
    headline: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], findings: Mapping[str, Any]
) -> str:
    """columns: key in a row → title. A key that a row does not have leaves its cell empty."""
    lines = [headline, "", "| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row.get(column, "")) for column in columns) + " |" for row in rows]
    lines += ["", *(f"- {name}: {_shown(value)}" for name, value in findings.items())]
    return "\n".join(lines) + "\n"


def write(text: str, results: Mapping[str, Any], folder: str) -> Sequence[str]:
    """Write results.md and results.json; return their paths."""
    paths = [f"{folder}/results.md", f"{folder}/results.json"]
    for path, content in zip(paths, (text, json.dumps(results, indent=2) + "\n"), strict=True):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    return paths


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
