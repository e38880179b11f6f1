"""Numbers as a reader wants them."""

from __future__ import annotations

NONE = "–"


def count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def number(value: float | None) -> str:
    """Three significant digits or so: 1,234, 12.3, 0.123, 1.2e-6."""
    if value is None:
        return NONE
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else scientific(value)


def scientific(value: float) -> str:
    """1.2e-6"""
    if value == 0:
        return "0"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+").replace(".0e", "e")


def percentage(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def size(num_bytes: int) -> str:
    """Bytes in decimal units."""
    amount = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
