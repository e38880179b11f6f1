"""What all sources share: the form in which they hand over diagnosis entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import ORDER_COLUMNS
from schemas.errors import ContractError
from spark_jobs.sources.tables import CORRUPT

MALFORMED = "malformed"
SET_ASIDE = "set_aside"
BIRTH_DATE = "birth_date"

# The columns that transforms.diagnoses.classify reads. Text as the source spells it, or a date or number
# where the source has the type. system: ICD9CM, ICD10CM or another name, null if unknown. raw: the row as
# JSON. malformed: the line could not be split into fields. set_aside: a reason (schemas.diagnoses.REASONS)
# that only the source can know, e.g. a claim that another reverses. birth_date: the patient's, a date.
OPTIONAL = {
    "visit_id": "string",
    **dict.fromkeys(ORDER_COLUMNS, "int"),
    SET_ASIDE: "string",
    BIRTH_DATE: "date",
}
ENTRY_COLUMNS = (
    "patient_id", "visit_id", "admit_date", "discharge_date", "system", "code",
    *ORDER_COLUMNS, "raw", MALFORMED, SET_ASIDE, BIRTH_DATE,
)  # fmt: skip


@dataclass(frozen=True)
class RawDiagnoses:
    """A source's diagnosis entries.

    entries: ENTRY_COLUMNS and the columns that `flags` names (boolean: rows to be counted in the manifest).
    counts: DataFrames of one row each, counted apart from the entries' own way, one with `rows_in`.
    inputs: manifests' fingerprints, where the source is one of our own folders. parameters: the source's own
    options, for the manifest.
    """

    entries: DataFrame
    counts: tuple[DataFrame, ...]
    flags: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


def require_columns(rows: DataFrame, needed: Iterable[str], table: str) -> None:
    """Raise ContractError when the table lacks a column."""
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        found = [name for name in rows.columns if name != CORRUPT]
        raise ContractError(
            f"table {table} has no column {', '.join(missing)} (it has {', '.join(found)})",
            f"it needs {', '.join(needed)}",
            "check that this is the right file, and that its first line names the columns",
        )


def as_text(rows: DataFrame, names: Iterable[str]) -> DataFrame:
    """Those columns as text; a date is YYYY-MM-DD even where it is kept as a time stamp."""
    types = dict(rows.dtypes)
    return rows.withColumns(
        {
            name: (F.col(name).cast("date") if types[name].startswith("timestamp") else F.col(name)).cast(
                "string"
            )
            for name in names
            if types[name] != "string"
        }
    )


def raw_json(names: Iterable[str]) -> Column:
    """A row's columns as JSON, nulls included, or the line that could not be split into fields."""
    kept = [name for name in names if name != CORRUPT]
    plain = F.to_json(F.struct(*kept), {"ignoreNullFields": "false"})
    return F.when(F.col(CORRUPT).isNotNull(), F.to_json(F.struct(CORRUPT))).otherwise(plain)


def entries(rows: DataFrame, flags: Iterable[str] = ()) -> DataFrame:
    """ENTRY_COLUMNS and flags; of these columns, those that most sources have not may be absent: null."""
    absent = {name: F.lit(None).cast(kind) for name, kind in OPTIONAL.items() if name not in rows.columns}
    return rows.withColumns(absent).select(*ENTRY_COLUMNS, *flags)
