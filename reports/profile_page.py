"""A profile as a page: what the template is given, and the template filled in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from reports import numbers
from reports.drift import Drift, common_bins, rejected_share
from reports.environment import environment
from reports.figures import Picture
from reports.flow import MEANINGS
from reports.headlines import Tile
from reports.months import calendar, every_month, gaps, shown_months
from reports.profile_figures import SYSTEM_COLOURS, rows_by_month, share_bars, shares_by_month
from schemas.manifest import Manifest
from schemas.profile import LOS_BINS, Histogram, Profile
from schemas.small_cells import FEW

TEMPLATE = "profile.html.j2"
TOP_CODES = 25


@dataclass(frozen=True)
class TopCode:
    """A code, and its shares of all rows here and in the reference (None: not known there)."""

    token: str
    patients: int
    rows: int
    share: float
    before: float | None


def render_profile(
    profile: Profile, manifest: Manifest, reference: Profile | None = None, drift: Drift | None = None
) -> str:
    """The page of a profile, as HTML; with a reference and its drift, the page says pass or fail first."""
    return (
        environment(rows=_shown_rows, short=short)
        .get_template(TEMPLATE)
        .render(
            profile=profile,
            source=dict(manifest.inputs).get(profile.stage, ""),
            reference=reference,
            drift=drift,
            tiles=_tiles(profile),
            gaps=gaps(profile),
            calendar=calendar(profile),
            time=_time_pictures(profile, reference),
            systems=list(zip(_shown_systems(profile), SYSTEM_COLOURS, strict=False)),
            people=_people_pictures(profile, reference),
            top_codes=_top_codes(profile, reference),
            rejected=sorted(profile.rejected.items(), key=lambda item: (-(item[1].rows or 0), item[0])),
            rows_in=profile.rows + sum(found.rows or 0 for found in profile.rejected.values()),
            rejected_share=rejected_share(profile),
            meanings=MEANINGS,
        )
    )


def _shown_rows(rows: int | None) -> str:
    return FEW if rows is None else numbers.count(rows)


def short(number: int) -> str:
    """A number in at most four characters or so: 420, 4.2k, 42k, 1.3M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if number >= size:
            return f"{number / size:.1f}{unit}" if number < 10 * size else f"{number / size:.0f}{unit}"
    return str(number)


def _tiles(profile: Profile) -> list[Tile]:
    patients, visits = profile.patients, profile.visits
    unit = "codes" if profile.stage in ("sequences", "shards") else "diagnoses"
    each = f"{numbers.number(profile.rows / patients)} a patient" if patients else ""
    tiles = []
    if profile.stage != "vocabulary":
        tiles.append(Tile("Patients", FEW if patients is None else f"{patients:,}", "rounded to tens"))
        note = f"{numbers.number(visits / patients)} a patient" if visits and patients else ""
        tiles.append(Tile("Claims" if profile.stage == "claims" else "Visits", _shown_rows(visits), note))
    where = each if profile.stage != "vocabulary" else "in the training split"
    tiles.append(Tile(unit.capitalize(), numbers.count(profile.rows), where))
    shown = f"{len(profile.codes):,} of 11 patients or more"
    tiles.append(Tile("Different codes", numbers.count(profile.num_codes), shown))
    if profile.months:
        first, last = min(profile.months), max(profile.months)
        tiles.append(Tile("Months", numbers.count(len(every_month(profile))), f"{first} to {last}"))
        empty = len(gaps(profile))
        note = "no gap" if not empty else "between the first and the last"
        ok = not empty if shown_months(profile) else None  # few patients have gaps
        tiles.append(Tile("Months without rows", numbers.count(empty), note, ok))
    if profile.stage == "diagnoses":
        tiles.append(Tile("Rows set aside", numbers.percentage(rejected_share(profile)), "of what came in"))
    return tiles


def _time_pictures(profile: Profile, reference: Profile | None) -> list[Picture]:
    shown = shown_months(profile)
    if not shown:
        return []
    months = [month for month in every_month(profile) if min(shown) <= month <= max(shown)]
    rows = [profile.months[month].rows if month in profile.months else 0 for month in months]
    expected = _expected(profile, reference, months)
    empty = [month for month, number in zip(months, rows, strict=True) if number == 0]
    caption = "By month of discharge."
    caption += f" Red: no rows ({', '.join(empty[:6])}{', …' if len(empty) > 6 else ''})." if empty else ""
    caption += " Dots: too few patients to show." if None in rows else ""
    caption += " Line: the reference, scaled to as many rows." if any(expected) else ""
    highest = max(shown, key=lambda month: (shown[month], month))
    alt = (
        f"Rows by month from {months[0]} to {months[-1]}. Most in {highest}, {shown[highest]:,}. "
        f"{len(empty)} months without rows."
    )
    names = _shown_systems(profile)
    by_system = {name: [_of_system(profile, month, name) for month in months] for name in names}
    listed = ", ".join(f"{name} {_shown_rows(profile.systems[name])}" for name in names)
    return [
        Picture("Rows by month", rows_by_month("months", months, rows, expected, alt), caption),
        Picture(
            "Code systems over time",
            shares_by_month(
                "systems", months, by_system, f"Shares of rows by code system. Rows in all: {listed}."
            ),
            f"Shares of each month's rows. In all: {listed}.",
        ),
    ]


def _expected(profile: Profile, reference: Profile | None, months: list[str]) -> list[float | None]:
    """The reference's rows, scaled so that the months that both have hold as many as here."""
    here, there = shown_months(profile), shown_months(reference) if reference else {}
    common = here.keys() & there.keys()
    if not common:
        return [None] * len(months)
    scale = sum(here[month] for month in common) / sum(there[month] for month in common)
    return [there[month] * scale if month in there else None for month in months]


def _shown_systems(profile: Profile) -> list[str]:
    return [name for name, rows in profile.systems.items() if rows][: len(SYSTEM_COLOURS)]


def _of_system(profile: Profile, month: str, system: str) -> int:
    found = profile.months.get(month)
    return (found.systems.get(system) or 0) if found else 0


def _people_pictures(profile: Profile, reference: Profile | None) -> list[Picture]:
    pictures = []
    for title, here, there in (
        ("Visits a patient", profile.visits_per_patient, reference and reference.visits_per_patient),
        ("Codes a patient", profile.codes_per_patient, reference and reference.codes_per_patient),
    ):
        if here:
            pictures.append(_histogram(title, here, there or None))
    if sum(n or 0 for n in profile.los):
        pictures.append(_los(profile, reference))
    return pictures


def _histogram(title: str, here: Histogram, there: Histogram | None) -> Picture:
    ends, patients, before = common_bins(here, there or here)
    last = max(here.edges[-1], there.edges[-1] if there else 0)
    labels = [_range(left, right - 1) for left, right in zip(ends, [*ends[1:], last], strict=True)]
    return _bars(
        title, labels, patients, before if there else [], title.lower(), "patients",
        f"Mean {here.mean:,}, median {here.median:,}; 95% of patients have at most {here.p95:,}.",
    )  # fmt: skip


def _los(profile: Profile, reference: Profile | None) -> Picture:
    """Visits that end on the day they begin are most of all in claims: they stand in the caption."""
    labels = [*(_range(left, right - 1) for left, right in pairwise(LOS_BINS)), f"{LOS_BINS[-1]}+"]
    here = [n or 0 for n in profile.los]
    before = [n or 0 for n in reference.los] if reference else []
    caption = "Days from admission to discharge."
    if profile.los[0] is not None:
        caption += f" {here[0] / sum(here):.1%} of the visits end on the same day"
        caption += f" ({before[0] / sum(before):.1%} in the reference)" if sum(before) else ""
        caption += "; the bars are the others."
    caption += f" Bins of {FEW} patients are empty." if None in profile.los else ""
    return _bars(
        "Length of stay", labels[1:], here[1:], before[1:], "days", "visits of a day or more", caption
    )


def _bars(
    title: str, labels: list[str], here: list[int], there: list[int], xlabel: str, unit: str, caption: str
) -> Picture:
    shares = [[number / max(sum(counts), 1) for number in counts] for counts in (here, there)]
    listed = ", ".join(f"{label}: {share:.1%}" for label, share in zip(labels, shares[0], strict=True))
    drawn = share_bars(
        title.lower().replace(" ", "-"), labels, shares[0], shares[1] if sum(there) else [], xlabel,
        f"{title}, shares of {unit}. {listed}.",
    )  # fmt: skip
    return Picture(f"{title}, share of {unit}", drawn, caption)


def _range(first: int, last: int) -> str:
    return f"{first:,}" if last <= first else f"{first:,}–{last:,}"


def _top_codes(profile: Profile, reference: Profile | None) -> list[TopCode]:
    before = {code.token: code.rows / reference.rows for code in reference.codes} if reference else {}
    return [
        TopCode(c.token, c.patients, c.rows, c.rows / max(profile.rows, 1), before.get(c.token))
        for c in profile.codes[:TOP_CODES]
    ]
