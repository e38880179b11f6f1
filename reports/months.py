"""The calendar of a profile: which months have rows, which have none."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.profile import Profile

MOST_YEARS = 40


@dataclass(frozen=True)
class Square:
    """A month in the calendar. state: rows, few (too few patients to say), gap or outside."""

    month: str
    state: str
    rows: int = 0
    share: float = 0.0
    """Of the fullest month's rows."""


def shown_months(profile: Profile) -> dict[str, int]:
    """`YYYY-MM` → rows, for the months that enough patients have rows in."""
    return {name: month.rows for name, month in profile.months.items() if month.rows}


def every_month(profile: Profile) -> list[str]:
    """All months from the first with rows to the last, those without rows too."""
    if not profile.months:
        return []
    first, last = min(profile.months), max(profile.months)
    years = range(int(first[:-3]), int(last[:-3]) + 1)
    return [name for year in years for n in range(1, 13) if first <= (name := f"{year:04d}-{n:02d}") <= last]


def gaps(profile: Profile) -> list[str]:
    """Months without any row between the first and the last that have some."""
    return [month for month in every_month(profile) if month not in profile.months]


def missing_months(profile: Profile, reference: Profile) -> list[str]:
    """Gaps that the reference has not, and the reference's months after the last one here."""
    own_gaps = [month for month in gaps(profile) if month not in gaps(reference)]
    last = max(profile.months)
    return own_gaps + [month for month in reference.months if month > last]


def calendar(profile: Profile) -> list[tuple[str, list[Square]]]:
    """A row a year (the latest MOST_YEARS), twelve months each; empty where no month may be shown."""
    shown = shown_months(profile)
    if not shown:
        return []
    fullest = max(shown.values())
    inside = set(every_month(profile))
    years = sorted({month[:-3] for month in inside})[-MOST_YEARS:]
    return [
        (year, [_square(f"{year}-{n:02d}", profile, inside, fullest) for n in range(1, 13)]) for year in years
    ]


def _square(name: str, profile: Profile, inside: set[str], fullest: int) -> Square:
    month = profile.months.get(name)
    if month is None:
        return Square(name, "gap" if name in inside else "outside")
    if month.rows is None:
        return Square(name, "few")
    return Square(name, "rows", month.rows, month.rows / fullest)
