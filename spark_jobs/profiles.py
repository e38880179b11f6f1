"""Exact counts → a profile that may be shown: small cells hidden, the others to tens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import pyarrow as pa

from schemas.histogram import power_of_two_bins, quantile
from schemas.profile import LOS_BINS, Code, Histogram, Month, Profile, Rejects
from schemas.small_cells import is_small, merge_small_bins, publishable
from spark_jobs.transforms.profile import CODE, CODES_EACH, LOS, MONTH, SYSTEM, TOTAL, VISITS_EACH, system_of

MOST_CODES = 10_000
MOST_SHAPES = 3

# (key, part) → (patients, number)
Cells = Mapping[tuple[str, str], tuple[int, int]]


def profile_of(stage: str, counts: pa.Table, rejected: Mapping[str, Rejects]) -> Profile:
    """The profile from counts (transforms.profile.COUNTS_DDL), in any order."""
    sections: dict[str, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)
    for row in counts.to_pylist():
        sections[row["section"]][row["key"], row["part"]] = (row["patients"], row["number"])
    patients, rows = sections[TOTAL].get(("rows", ""), (0, 0))
    _, visits = sections[TOTAL].get(("patients", "visits"), (0, 0))
    codes = {token: found for (token, _), found in sections[CODE].items() if token.find("[") != 0}
    return Profile(
        stage,
        publishable(rows, rows) or 0,
        publishable(patients, patients),
        publishable(visits, patients),
        len(codes),
        _months(sections[MONTH]),
        {name: publishable(number, few) for (name, _), (few, number) in sorted(sections[SYSTEM].items())},
        _commonest(codes),
        _histogram(sections[VISITS_EACH]),
        _histogram(sections[CODES_EACH]),
        _los(sections[LOS]),
        dict(rejected),
    )


def profile_of_vocabulary(table: pa.Table) -> Profile:
    """The profile of a vocabulary's table, special tokens left out: nothing is known of time or visits."""
    rows = [row for row in table.to_pylist() if not row["token"].startswith("[")]
    systems: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        found = systems[system_of(row["token"])]
        found[0] = max(found[0], row["num_patients"])  # at least so many patients
        found[1] += row["num_occurrences"]
    total = sum(row["num_occurrences"] for row in rows)
    return Profile(
        "vocabulary",
        publishable(total, total) or 0,
        num_codes=len(rows),
        systems={name: publishable(number, few) for name, (few, number) in sorted(systems.items())},
        codes=_commonest({row["token"]: (row["num_patients"], row["num_occurrences"]) for row in rows}),
    )


def rejects(counts: Mapping[str, int], shapes: Iterable[Mapping[str, str]]) -> dict[str, Rejects]:
    """Reason → what it set aside. counts: rows; shapes: rows of transforms.shapes.reject_shapes, by place."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in shapes:
        found[row["reason"]].append((row["column"], row["shape"]))
    # As many rows may be as many patients.
    return {
        reason: Rejects(publishable(rows, rows), tuple(found[reason]))
        for reason, rows in sorted(counts.items())
        if rows
    }


def _months(cells: Cells) -> dict[str, Month]:
    systems: dict[str, dict[str, int | None]] = defaultdict(dict)
    for (month, system), (patients, rows) in sorted(cells.items()):
        if system:
            systems[month][system] = publishable(rows, patients)
    return {
        month: Month(publishable(rows, patients), systems[month])
        for (month, system), (patients, rows) in sorted(cells.items())
        if not system
    }


def _commonest(codes: Mapping[str, tuple[int, int]]) -> tuple[Code, ...]:
    """The codes that enough patients have, by rows; ties by token."""
    shown = [
        Code(token, publishable(patients, patients) or 0, publishable(rows, patients) or 0)
        for token, (patients, rows) in codes.items()
        if patients and not is_small(patients)
    ]
    return tuple(sorted(shown, key=lambda code: (-code.rows, code.token))[:MOST_CODES])


def _histogram(cells: Cells) -> Histogram | None:
    """None where there are too few patients to show a bar."""
    counts = {int(number): patients for (number, _), (patients, _) in cells.items() if int(number)}
    if not counts or is_small(sum(counts.values())):
        return None
    edges, patients = merge_small_bins(*power_of_two_bins(counts))
    mean = sum(number * found for number, found in counts.items()) / sum(counts.values())
    rounded = tuple(publishable(found, found) or 0 for found in patients)
    return Histogram(tuple(edges), rounded, round(mean, 1), quantile(counts, 0.5), quantile(counts, 0.95))


def _los(cells: Cells) -> tuple[int | None, ...]:
    if not cells:
        return ()
    found = {int(place): publishable(visits, patients) for (place, _), (patients, visits) in cells.items()}
    return tuple(found.get(place, 0) for place in range(len(LOS_BINS)))
