"""Diagnoses with other codes: a join with a map, and what it did, counted by quarter of discharge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.code_maps import EXACT, OUTCOMES, UNMAPPED
from schemas.codes import ICD9CM, ICD10CM, SEPARATOR
from schemas.diagnoses import DIAGNOSES, DISCHARGE_DATE

CODE, TARGETS, OUTCOME = "code", "targets", "outcome"
OTHER_SYSTEM = "other_system"  # of a row whose code is of a system that the map is not about
IN_ALL = "all"
# US claims discharged from 1 October 2015 on are coded in ICD-10-CM: a year of quarters on either side.
_FIRST, _QUARTERS = 2014 * 4 + 3, 8  # quarters since year 0
BEFORE, AFTER = "before 2014-Q4", "after 2016-Q3"
PERIODS = (BEFORE, *(f"{n // 4}-Q{n % 4 + 1}" for n in range(_FIRST, _FIRST + _QUARTERS)), AFTER)


def look_up(diagnoses: DataFrame, table: DataFrame, systems: Sequence[str]) -> DataFrame:
    """Adds `targets` (what the code becomes, itself where it stays) and `outcome`. One row out for each in.

    table: (code, targets, outcome), each code once. systems: those that the map is about.
    """
    joined = diagnoses.join(F.broadcast(table), CODE, "left")
    of_map = _system().isin(list(systems))
    return joined.withColumns(
        {
            OUTCOME: F.coalesce(OUTCOME, F.when(of_map, UNMAPPED).otherwise(OTHER_SYSTEM)),
            TARGETS: F.coalesce(TARGETS, F.array(CODE)),
        }
    )


def look_up_category(diagnoses: DataFrame) -> DataFrame:
    """As look_up, for the category (three characters, four of ICD-9-CM's E codes): what is before the dot.

    Only diagnoses have one.
    """
    has_category = _system().isin(ICD9CM, ICD10CM)
    category = F.when(has_category, F.substring_index(CODE, ".", 1)).otherwise(F.col(CODE))
    return diagnoses.withColumns(
        {
            TARGETS: F.array(category),
            OUTCOME: F.when(has_category, EXACT).otherwise(OTHER_SYSTEM),
        }
    )


def replace_codes(looked_up: DataFrame) -> DataFrame:
    """The diagnoses contract again, a row for each target. Dates, ids and order are those of the row."""
    return looked_up.withColumn(CODE, F.explode(TARGETS)).select(*DIAGNOSES.column_names)


def counters() -> list[Column]:
    """Rows by period and outcome, as aggregates over look_up's rows."""
    quarter = F.year(DISCHARGE_DATE) * 4 + F.quarter(DISCHARGE_DATE) - 1
    period = F.least(F.greatest(quarter - (_FIRST - 1), F.lit(0)), F.lit(_QUARTERS + 1))
    return [
        F.count_if((period == n) & (F.col(OUTCOME) == outcome)).alias(_name(n, outcome))
        for n, outcome in _cells()
    ]


def report(seen: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Period → outcome → rows, from the counters' values; `all` first, then periods that have rows."""
    cells = {(PERIODS[n], outcome): seen[_name(n, outcome)] or 0 for n, outcome in _cells()}
    outcomes = (*OUTCOMES, OTHER_SYSTEM)
    totals = {outcome: sum(cells[period, outcome] for period in PERIODS) for outcome in outcomes}
    by_period = {period: {outcome: cells[period, outcome] for outcome in outcomes} for period in PERIODS}
    return {IN_ALL: totals} | {period: rows for period, rows in by_period.items() if any(rows.values())}


def shares(rows: Mapping[str, int]) -> dict[str, float]:
    """Outcome → share of the rows whose system the map is about; empty where there is none."""
    total = sum(rows[outcome] for outcome in OUTCOMES)
    return {outcome: round(rows[outcome] / total, 4) for outcome in OUTCOMES} if total else {}


def _system() -> Column:
    return F.substring_index(CODE, SEPARATOR, 1)


def _cells() -> Iterator[tuple[int, str]]:
    return ((n, outcome) for n in range(len(PERIODS)) for outcome in (*OUTCOMES, OTHER_SYSTEM))


def _name(period: int, outcome: str) -> str:
    return f"period_{period}_{outcome}"
