"""Does this profile look like the reference? A handful of measures, each with a limit: pass or fail.

What could not be compared does not pass. A number that only one of the two shows is a failed check, and so is
a comparison without a single code: the data of fewer than 11 patients pass no gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from reports.months import missing_months, shown_months
from reports.numbers import number, percentage
from schemas.errors import ContractError
from schemas.profile import Code, Histogram, Profile
from schemas.small_cells import FEW
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS

# A code that the small-cell rule hides here counts as gone only if so many patients were to be expected.
EXPECTED_PATIENTS = 5 * SMALL_CELL_MIN_PATIENTS
# A month's volume is judged where the reference has enough rows for chance to be small.
JUDGED_MONTH_ROWS = 1000
_LEAST_SHARE = 1e-4  # in PSI, so that an empty bin does not make it infinite
_SMALL_REJECT = 5  # what a hidden number of rows set aside is taken for


@dataclass(frozen=True)
class DriftLimits:
    """How far from the reference is still a pass.

    Args:
        codes: Jensen-Shannon divergence of the codes' shares of rows, in bits: 0 is the same, 1 nothing in
            common; 0.05 is as if 5% of the rows had other codes.
        codes_gone: share of the reference's rows whose code is not here any more, or of the rows here whose
            code is new.
        shares: population stability index (PSI) of months, code systems, stays, visits and codes a patient;
            below 0.1 is commonly called stable, above 0.25 a major shift.
        months_without_rows: months without any row that the reference's calendar has.
        thin_month: least rows of a month against the reference, where the median month is 1.
        rows_per_patient: change of the mean, relative.
        patients: least number of patients against the reference's.
        rejected: rise of the share of rows that were set aside.
    """

    codes: float = 0.05
    codes_gone: float = 0.01
    shares: float = 0.2
    months_without_rows: int = 0
    thin_month: float = 0.5
    rows_per_patient: float = 0.2
    patients: float = 0.5
    rejected: float = 0.02


@dataclass(frozen=True)
class Check:
    """One measure. used: how much of what its limit allows is used up, 1 being the limit itself."""

    name: str
    measured: str
    limit: str
    ok: bool
    meaning: str
    used: float


@dataclass(frozen=True)
class Mover:
    """A code whose share of the rows changed. Shares of all rows, in the reference and here."""

    token: str
    before: float
    now: float


@dataclass(frozen=True)
class Drift:
    """The checks of all that a profile has a number for (and of codes), and the codes that moved most."""

    checks: tuple[Check, ...]
    movers: tuple[Mover, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)


def compare(profile: Profile, reference: Profile, limits: DriftLimits) -> Drift:
    """Raises ContractError when the two are of different stages, or one of them has no rows."""
    if profile.stage != reference.stage:
        raise ContractError(
            f"the profile is of {profile.stage}, the reference of {reference.stage}",
            "a stage is compared with the same stage",
            "give the reference's profile of the same stage",
        )
    if not profile.rows or not reference.rows:
        raise ContractError(
            "the profile or its reference has no rows", "two profiles with rows are compared", "give others"
        )
    codes = _Codes(profile, reference)
    checks = (
        *_codes(codes, limits),
        *_hidden(profile, reference),
        *_volumes(profile, reference, limits),
        *_shares(profile, reference, limits),
    )
    return Drift(checks, codes.movers(10))


class _Codes:
    """Shares of rows by code, for the codes that chance alone does not hide in one of the two."""

    def __init__(self, profile: Profile, reference: Profile) -> None:
        here, there = _by_token(profile.codes), _by_token(reference.codes)
        growth = profile.rows / reference.rows
        self.gone = {
            t for t, c in there.items() if t not in here and c.patients * growth >= EXPECTED_PATIENTS
        }
        self.new = {t for t, c in here.items() if t not in there and c.patients / growth >= EXPECTED_PATIENTS}
        both = sorted((here.keys() & there.keys()) | self.gone | self.new)
        self.before = {t: there[t].rows / reference.rows if t in there else 0.0 for t in both}
        self.now = {t: here[t].rows / profile.rows if t in here else 0.0 for t in both}

    def divergence(self) -> float:
        """In bits. All other codes together are one."""
        before, now = ([*s.values(), max(0.0, 1 - sum(s.values()))] for s in (self.before, self.now))
        return jensen_shannon(before, now)

    def movers(self, most: int) -> tuple[Mover, ...]:
        found = [Mover(token, self.before[token], self.now[token]) for token in self.before]
        return tuple(sorted(found, key=lambda m: (-abs(m.now - m.before), m.token))[:most])


def _by_token(codes: Sequence[Code]) -> dict[str, Code]:
    return {code.token: code for code in codes}


def _codes(codes: _Codes, limits: DriftLimits) -> Iterator[Check]:
    if not codes.before:
        meaning = "that 11 patients or more have here and there"
        yield Check("Codes", "none to compare", "one or more", False, meaning, 2.0)
        return
    yield _at_most(
        "Codes", codes.divergence(), limits.codes, number, "Jensen-Shannon divergence of their shares, bits"
    )
    gone = sum(codes.before[token] for token in codes.gone)
    new = sum(codes.now[token] for token in codes.new)
    yield _at_most("Codes gone", gone, limits.codes_gone, percentage, "share of the reference's rows")
    yield _at_most("Codes new", new, limits.codes_gone, percentage, "share of the rows here")


def _hidden(profile: Profile, reference: Profile) -> Iterator[Check]:
    """A failed check for each number that one of the two hides, since too few patients stand behind it."""
    here, there = _shown(profile), _shown(reference)
    for name in here:
        if here[name] != there[name]:
            where = "here" if there[name] else "in the reference"
            yield Check(name, f"hidden {where}", "shown in both", False, f"of {FEW} patients", 2.0)


def _shown(profile: Profile) -> dict[str, bool]:
    """Check → whether the profile has a number for it."""
    return {
        "Patients": bool(profile.patients),
        "Months": bool(shown_months(profile)),
        "Code systems": any(profile.systems.values()),
        "Length of stay": any(profile.los),
        "Visits a patient": profile.visits_per_patient is not None,
        "Codes a patient": profile.codes_per_patient is not None,
    }


def _volumes(profile: Profile, reference: Profile, limits: DriftLimits) -> Iterator[Check]:
    if profile.patients and reference.patients:
        ratio = profile.patients / reference.patients
        yield _at_least("Patients", ratio, limits.patients, percentage, "of the reference's number")
        change = abs(profile.rows / profile.patients * reference.patients / reference.rows - 1)
        yield _at_most("Rows a patient", change, limits.rows_per_patient, percentage, "change of the mean")
    if profile.months and reference.months:
        missing = len(missing_months(profile, reference))
        yield _at_most(
            "Months without rows", missing, limits.months_without_rows, number, "that the reference has"
        )
        thinnest = _thinnest_month(profile, reference)
        if thinnest is not None:
            yield _at_least(
                "Thinnest month", thinnest, limits.thin_month, percentage,
                "of the reference's rows, the median month being 100%",
            )  # fmt: skip
    if profile.rejected or reference.rejected:
        rise = max(0.0, rejected_share(profile) - rejected_share(reference))
        yield _at_most("Rows set aside", rise, limits.rejected, percentage, "rise of their share")


def _shares(profile: Profile, reference: Profile, limits: DriftLimits) -> Iterator[Check]:
    common = sorted(shown_months(profile).keys() & shown_months(reference).keys())
    pairs = {
        "Months": tuple([shown_months(p)[month] for month in common] for p in (profile, reference)),
        "Code systems": _systems(profile, reference),
        "Length of stay": ([n or 0 for n in profile.los], [n or 0 for n in reference.los]),
        "Visits a patient": common_bins(profile.visits_per_patient, reference.visits_per_patient)[1:],
        "Codes a patient": common_bins(profile.codes_per_patient, reference.codes_per_patient)[1:],
    }
    for name, (here, there) in pairs.items():
        if len(here) > 1 and sum(here) and sum(there):
            what = "PSI of the shares" + (" of the months that both have" if name == "Months" else "")
            yield _at_most(name, psi(here, there), limits.shares, number, what)


def _systems(profile: Profile, reference: Profile) -> tuple[list[int], list[int]]:
    names = sorted({*profile.systems, *reference.systems})
    return [profile.systems.get(name) or 0 for name in names], [
        reference.systems.get(name) or 0 for name in names
    ]


def _thinnest_month(profile: Profile, reference: Profile) -> float | None:
    """The least of: rows here over the reference's, relative to the median. None where none is judged.

    A month without any row is not thin but missing, which is another check. One of too few patients has as
    good as none; where most have, the thinnest is nothing of the others.
    """
    judged = {
        name: (profile.months[name].rows or 0) / rows
        for name, rows in shown_months(reference).items()
        if name in profile.months and rows >= JUDGED_MONTH_ROWS
    }
    if not judged:
        return None
    middle = median(judged.values())
    return min(judged.values()) / middle if middle else 0.0


def rejected_share(profile: Profile) -> float:
    """Of all rows that came in."""
    aside = sum(_SMALL_REJECT if found.rows is None else found.rows for found in profile.rejected.values())
    return aside / (profile.rows + aside) if aside else 0.0


def common_bins(here: Histogram | None, there: Histogram | None) -> tuple[list[int], list[int], list[int]]:
    """(lower ends, patients here, patients there) in the finest bins that both have; empty without both."""
    if here is None or there is None:
        return [], [], []
    lower = min(here.edges[0], there.edges[0])
    inner = sorted(
        edge
        for edge in {*here.edges, *there.edges}
        if edge > lower and _splits(here, edge) and _splits(there, edge)
    )
    ends = [lower, *(edge for edge in inner if edge < max(here.edges[-1], there.edges[-1]))]
    return ends, _in_bins(here, ends), _in_bins(there, ends)


def _splits(histogram: Histogram, edge: int) -> bool:
    return edge in histogram.edges or not histogram.edges[0] < edge < histogram.edges[-1]


def _in_bins(histogram: Histogram, ends: Sequence[int]) -> list[int]:
    totals = [0] * len(ends)
    for left, patients in zip(histogram.edges, histogram.patients, strict=False):
        totals[sum(end <= left for end in ends) - 1] += patients
    return totals


def psi(here: Sequence[float], there: Sequence[float]) -> float:
    """Population stability index of two lists of counts: Σ (p − q) ln(p / q)."""
    pairs = zip(_as_shares(here), _as_shares(there), strict=True)
    floored = ((max(p, _LEAST_SHARE), max(q, _LEAST_SHARE)) for p, q in pairs)
    return sum((p - q) * math.log(p / q) for p, q in floored)


def jensen_shannon(here: Sequence[float], there: Sequence[float]) -> float:
    """Jensen-Shannon divergence of two lists of counts, in bits: 0 to 1 (Lin 1991)."""
    total = 0.0
    for p, q in zip(_as_shares(here), _as_shares(there), strict=True):
        total += sum(share / 2 * math.log2(2 * share / (p + q)) for share in (p, q) if share)
    return max(0.0, total)


def _as_shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts]


def _at_most(name: str, measured: float, limit: float, show: Callable[[float], str], meaning: str) -> Check:
    used = measured / limit if limit else float(measured > 0) * 2
    return Check(name, show(measured), f"at most {show(limit)}", measured <= limit, meaning, used)


def _at_least(name: str, measured: float, limit: float, show: Callable[[float], str], meaning: str) -> Check:
    used = limit / measured if measured else 2.0
    return Check(name, show(measured), f"at least {show(limit)}", measured >= limit, meaning, used)


def verdict_lines(drift: Drift) -> str:
    """What the command line says: a line for each check, then the verdict."""
    lines = [
        f"{'pass' if c.ok else 'FAIL'}  {c.name}: {c.measured} ({c.limit}; {c.meaning})" for c in drift.checks
    ]
    lines += [f"drift: {'pass' if drift.ok else 'FAIL: ' + ', '.join(c.name for c in drift.failed)}"]
    return "\n".join(lines) + "\n"
