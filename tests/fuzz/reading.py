"""What each source's raw rows mean, said again in plain Python, row by row: the fuzz run's reference.

Of the project it uses the contract's names alone. A row is what its fields are once decoded; its results are
diagnoses (Used) and rejected ones (Rejected).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.spark_jobs.reference import normalised_code

LOST = "\ufffd"
WORDS = {"", "nan", "none", "null", "na", "<na>", "nat", "\\n"}
NAMES = {"ICD9": "ICD9CM", "I9": "ICD9CM", "ICD9CM": "ICD9CM"}
NAMES |= {"ICD10": "ICD10CM", "I10": "ICD10CM", "ICD10CM": "ICD10CM"}
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]

UNREADABLE = object()
Day = datetime.date | object | None  # UNREADABLE, or None for a missing one


@dataclass(frozen=True)
class Used:
    patient: str
    visit: str | None
    admit: datetime.date
    discharge: datetime.date
    code: str
    orders: tuple[int | None, int | None, int | None]


@dataclass(frozen=True)
class Rejected:
    reason: str


@dataclass(frozen=True)
class Claim:
    """What a row says, before it is judged. codes: (system or None, code or None, order in the row)."""

    aside: str | None
    patient: str | None
    visit: str | None
    admit: Day
    discharge: Day
    codes: Sequence[tuple[str | None, str | None, int | None]]
    orders: tuple[int | None, int | None, int | None] = (None, None, None)
    born: datetime.date | None = None


def judged(claim: Claim) -> list[Used | Rejected]:
    """A row's diagnoses: the first column of codes always is one, any other where it is filled."""
    reason = claim.aside or _reason(claim)
    found: list[Used | Rejected] = []
    for place, (system, code, order) in enumerate(claim.codes):
        if place and code is None:
            continue
        token = token_of(system, code) if system and code else None
        why = reason
        if not why and code is None:
            why = "code_missing"
        if not why and system is None:
            why = "code_system_unknown"
        if not why and token is None:
            why = "code_malformed"
        if why:
            found.append(Rejected(why))
            continue
        assert claim.patient and isinstance(claim.admit, datetime.date) and token
        assert isinstance(claim.discharge, datetime.date)
        orders = claim.orders if order is None else (order, *claim.orders[1:])
        found.append(Used(claim.patient, claim.visit, claim.admit, claim.discharge, token, orders))
    return found


def _reason(claim: Claim) -> str | None:
    if claim.patient is None:
        return "patient_missing"
    for name, day in (("admit_date", claim.admit), ("discharge_date", claim.discharge)):
        if day is None:
            return f"{name}_missing"
        if day is UNREADABLE:
            return f"{name}_unreadable"
    if claim.discharge < claim.admit:
        return "discharge_before_admit"
    return "before_birth" if claim.born and claim.admit < claim.born else None


def token_of(system: str, code: str) -> str | None:
    if system == "ICD10PCS":
        code = code.upper()
        good = len(code) == 7 and all(letter in "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ" for letter in code)
        return f"ICD10PCS//{code}" if good else None
    return normalised_code(system, code)


def filled(text: str | None, missing: Iterable[str] = ()) -> str | None:
    trimmed = (text or "").strip()
    return None if trimmed.lower() in WORDS or trimmed in missing else trimmed


def plain_number(text: str | None) -> tuple[str | None, bool]:
    """(an id in its one spelling, None for a missing one; whether it is unreadable)."""
    trimmed = filled(text)
    if trimmed is None:
        return None, False
    if re.fullmatch(r"[-+]?(inf|Infinity)", trimmed):
        return trimmed, True
    parts = re.fullmatch(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]*)?(?:[eE]([-+]?)([0-9]{1,3}))?", trimmed)
    if not parts:
        return trimmed, False
    _, fraction, sign, exponent = parts.groups()
    if fraction is None and sign != "+":
        return trimmed, False
    is_cut = sign == "+" and len(fraction or ".") - 1 < int(exponent)
    number = float(trimmed)
    if is_cut or number in (float("inf"), float("-inf")) or number != int(number) or abs(number) >= 2**53:
        return trimmed, True
    return str(int(number)), False


def unreadable_id(patient: str | None, *visits: str | None) -> str | None:
    if plain_number(patient)[1]:
        return "patient_unreadable"
    return "visit_unreadable" if any(plain_number(visit)[1] for visit in visits) else None


def named_visit(text: str | None, missing: Iterable[str] = ()) -> str | None:
    visit = filled(plain_number(text)[0], missing)
    return None if visit is None or visit == "-1" or set(visit) == {"0"} else visit


def day_of(text: str | None) -> Day:
    trimmed = filled(text)
    if trimmed is None:
        return None
    date, rest = trimmed[:10], trimmed[10:]
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", date) or (rest and not _is_time(rest)):
        return UNREADABLE
    return _date(int(date[:4]), int(date[5:7]), int(date[8:]))


def _date(year: int, month: int, day: int) -> Day:
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return UNREADABLE


def _is_time(rest: str) -> bool:
    """`T10:00`, ` 10:00:00.5 UTC`, …"""
    zone = r"(?: ?(?:Z|UTC|[-+][01][0-9](:?[0-5][0-9])?))?"
    found = re.fullmatch(rf"[T ]([0-9]{{2}}):([0-9]{{2}})(?::([0-9]{{2}})(?:[.,][0-9]+)?)?{zone}", rest)
    return bool(found) and int(found[1]) < 24 and int(found[2]) < 60 and int(found[3] or 0) < 60


def order_of(text: str | None) -> int | None:
    trimmed = filled(text)
    if trimmed is None:
        return None
    if re.fullmatch(r"[A-Za-z]", trimmed):
        return 2**31 - 27 + ord(trimmed.upper()) - ord("A")
    spelt, is_bad = plain_number(trimmed)
    found = None if is_bad else re.fullmatch(r"([+-]?[0-9]+)(\.0*)?", spelt or "")
    if not found:
        return None
    number = int(found[1])
    return number if -(2**31) <= number < 2**31 - 27 else None


def medbert(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> list[list[Used | Rejected]]:
    return [judged(_medbert(fields, columns)) for fields in rows]


def _medbert(fields: Sequence[str], columns: Sequence[str]) -> Claim:
    if len(fields) != len(columns):
        return Claim("row_malformed", None, None, None, None, [(None, None, None)])
    row = dict(zip(columns, fields, strict=True))
    lost = any(LOST in field for field in fields)
    aside = "encoding_unreadable" if lost else unreadable_id(row["patient_id"])
    before, bar, after = row["diag"].partition("_")
    name = before.strip().upper() if bar else ""
    system = NAMES.get(re.sub("[-_. ]", "", name), name) or None
    code = filled(after if bar else row["diag"])
    if bar and code is None and system in ("ICD9CM", "ICD10CM"):
        code = "a field that is filled, with no code"
    orders = tuple(order_of(row[name]) for name in ("poa", "third_party_ind", "diagnosis_priority"))
    patient = plain_number(row["patient_id"])[0]
    return Claim(
        aside, patient, None, day_of(row["vadate"]), day_of(row["vddate"]), [(system, code, None)], orders
    )


@dataclass(frozen=True)
class Stay:
    start: str
    end: str


def omop(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    stays: Mapping[tuple[str, str], Stay],
    births: Mapping[str, datetime.date],
) -> list[list[Used | Rejected]]:
    return [judged(_omop(fields, columns, stays, births)) for fields in rows]


def _omop(
    fields: Sequence[str],
    columns: Sequence[str],
    stays: Mapping[tuple[str, str], Stay],
    births: Mapping[str, datetime.date],
) -> Claim:
    if len(fields) != len(columns):
        return Claim("row_malformed", None, None, None, None, [(None, None, None)])
    row = dict(zip(columns, fields, strict=True))
    read = [row[name] for name in columns if name != "condition_occurrence_id"]
    lost = any(LOST in field for field in read)
    person, visit = plain_number(row["person_id"])[0], plain_number(row["visit_occurrence_id"])[0]
    unreadable = unreadable_id(row["person_id"], row["visit_occurrence_id"])
    stay = stays.get((person or "", visit or ""))
    start = stay.start if stay else row["condition_start_date"]
    end = stay.end if stay else row["condition_end_date"]
    discharge = day_of(end) if stay or filled(end) else day_of(start)
    concept = plain_number(row["condition_source_concept_id"])[0] or ""
    number = int(concept) if re.fullmatch(r"[+-]?[0-9]{1,18}", concept) else 0
    system = "ICD10CM" if number > 0 else None
    if 44_819_000 <= number <= 44_838_000:
        system = "ICD9CM"
    if number >= 2_000_000_000:
        system = None
    return Claim(
        "encoding_unreadable" if lost else unreadable,
        person,
        visit if stay else None,
        day_of(start),
        discharge,
        [(system, filled(row["condition_source_value"]), None)],
        born=births.get(person or ""),
    )


def mapped_claims(
    rows: Sequence[Sequence[str]], columns: Sequence[str], missing: Iterable[str]
) -> list[list[Used | Rejected]]:
    return [judged(_mapped_claim(fields, columns, missing)) for fields in rows]


def _mapped_claim(fields: Sequence[str], columns: Sequence[str], missing: Iterable[str]) -> Claim:
    row = dict.fromkeys(columns, "") | dict(zip(columns, fields, strict=False))
    aside = unreadable_id(row["patient"], row["claim"], row["stay"])
    if any(LOST in field for field in fields):
        aside = "encoding_unreadable"
    if len(fields) != len(columns):
        aside = "row_malformed"
    admits = [_of_map(row[name], missing) for name in ("admit", "service")]
    codes = [(_system(row[f"v{n}"], missing), filled(row[f"dx{n}"], missing), n) for n in (1, 2, 3)]
    codes.append(("ICD10PCS", filled(row["px"], missing), 4))
    return Claim(
        aside,
        filled(plain_number(row["patient"])[0], missing),
        named_visit(row["stay"], missing),
        next((day for day in admits if day is not None), None),
        _of_map(row["discharge"], missing),
        codes,
    )


def _system(text: str, missing: Iterable[str]) -> str | None:
    spelt = (filled(plain_number(text)[0], missing) or "").lower()
    known = {"": "ICD9CM", "9": "ICD9CM", "0": "ICD10CM"}.get(spelt)
    return known or NAMES.get(re.sub("[-_. ]", "", spelt).upper())


def _of_map(text: str, missing: Iterable[str]) -> Day:
    """dd-MMM-yyyy, or as everywhere. A whole number that became a float is its digits."""
    spelt = filled(plain_number(text)[0], missing)
    if spelt is None:
        return None
    parts = re.fullmatch(r"([0-9]{2})-([A-Za-z]{3})-([0-9]{4})", spelt)
    if parts and parts[2].upper() in MONTHS:
        return _date(int(parts[3]), MONTHS.index(parts[2].upper()) + 1, int(parts[1]))
    return day_of(spelt)


def plain_claims(rows: Sequence[Mapping[str, object]], num_codes: int) -> list[list[Used | Rejected]]:
    """rows: dates as days since 1970, null allowed; icd_version a number."""
    return [judged(_plain_claim(row, num_codes)) for row in rows]


def _plain_claim(row: Mapping[str, object], num_codes: int) -> Claim:
    names = [f"diagnosis_{n}" for n in range(1, num_codes + 1)]
    lost = any(LOST in (row[name] or "") for name in ("patient_id", "claim_id", *names))
    version = {9: "ICD9CM", 10: "ICD10CM"}.get(row["icd_version"])
    return Claim(
        "encoding_unreadable" if lost else unreadable_id(row["patient_id"], row["claim_id"]),
        plain_number(row["patient_id"])[0],
        named_visit(row["claim_id"]),
        _day_number(row["admit_date"]),
        _day_number(row["discharge_date"]),
        [(version, filled(row[name]), n) for n, name in enumerate(names, 1)],
    )


def _day_number(days: int | None) -> Day:
    if days is None:
        return None
    ordinal = days + datetime.date(1970, 1, 1).toordinal()
    known = 1 <= ordinal <= datetime.date.max.toordinal()
    return datetime.date.fromordinal(ordinal) if known else UNREADABLE


def meds(events: Sequence[Mapping[str, object]]) -> list[list[Used | Rejected]]:
    """events: subject_id, day (as days since 1970), code, hadm_id. Of one with another code: nothing."""
    days: dict[tuple, list[int]] = {}
    births: dict[object, int] = {}
    for event in events:
        subject, visit, day = event["subject_id"], named_visit(event["hadm_id"]), event["day"]
        if day is None:
            continue
        if visit is not None:
            days.setdefault((subject, visit), []).append(day)
        if event["code"] == "MEDS_BIRTH":
            births[subject] = min(day, births.get(subject, day))
    return [_judged_event(event, days, births) for event in events]


def _judged_event(event: Mapping, days: Mapping[tuple, list[int]], births: Mapping) -> list[Used | Rejected]:
    text = (event["code"] or "").strip()
    start = next((name for name in ("ICD10CM", "ICD9CM") if text.startswith(name)), None)
    if start is None:
        return []
    subject, visit = event["subject_id"], named_visit(event["hadm_id"])
    lost = LOST in event["code"] or LOST in (event["hadm_id"] or "")
    aside = (
        "encoding_unreadable" if lost else "visit_unreadable" if plain_number(event["hadm_id"])[1] else None
    )
    stay = days.get((subject, visit)) if visit is not None and subject is not None else None
    first, last = (min(stay), max(stay)) if stay else (event["day"], event["day"])
    born = _day_number(births.get(subject)) if subject is not None else None
    claim = Claim(
        aside,
        None if subject is None else str(subject),
        visit,
        _day_number(first),
        _day_number(last),
        [(start, filled(text[len(start) :].lstrip("/")), None)],
        born=born if isinstance(born, datetime.date) else None,
    )
    return judged(claim)
