"""What all sources share: the form in which they hand over their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import FractionalType

from schemas.diagnoses import ENCODING_UNREADABLE
from schemas.errors import ContractError
from spark_jobs.sources.columns import SEVERAL_VALUES, column
from spark_jobs.sources.raw_rows import FrameRows, RawRows
from spark_jobs.sources.tables import CORRUPT
from spark_jobs.transforms.diagnoses import PATIENT
from spark_jobs.transforms.encoding import REPLACED
from spark_jobs.transforms.ids import KINDS, digits_of, number_of


@dataclass(frozen=True)
class RawDiagnoses:
    """A source's rows, each with one diagnosis or several.

    rows: what they say (PATIENT, ADMIT, DISCHARGE, SYSTEM and any of MAYBE_ABSENT of transforms.diagnoses),
    SYSTEM an array where each code of a row has its own, in order of codes; and the columns that codes, raw
    and flags name. codes: a code column's own name → the column with its code; in a row the first always
    is a diagnosis, any other where it is filled. raw: the source's own
    columns, which a row that is set aside shows. flags: what the manifest counts of the diagnoses that are
    used: a boolean column is of all the row's diagnoses, an array of booleans of each, in order of codes.
    counts: DataFrames of one row each, or what is known without one, counted apart from the rows' own way:
    SOURCE_ROWS, how many rows there are, and what else is for the manifest. inputs: manifests' fingerprints,
    where the source is one of our own folders. columns: PATIENT, VISIT, ADMIT, DISCHARGE, SYSTEM, CODES → the
    source's columns that say it, for rows that are rejected. parameters: the source's own options, for the
    manifest.
    """

    rows: RawRows
    codes: Mapping[str, str]
    raw: tuple[str, ...]
    counts: tuple[DataFrame | Mapping[str, int], ...]
    flags: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def raw_diagnoses(
    rows: DataFrame,
    said: dict[str, Column],
    codes: Mapping[str, str],
    raw: Iterable[str],
    counts: tuple[DataFrame, ...],
    flags: tuple[str, ...] = (),
    **more: Any,
) -> RawDiagnoses:
    """RawDiagnoses of what a source says.

    said: by name, what RawDiagnoses.rows is to say, and flags; ids are text, trimmed, null for none.
    """
    shown = tuple(dict.fromkeys(name for name in raw if name in rows.columns))
    known = said | {PATIENT: F.coalesce(said[PATIENT], F.lit(""))}
    own = {name: own_name(name) if own_name(name) in rows.columns else name for name in shown}
    own |= {name: name for name in codes.values()}
    selected = rows.select(
        *(column(of).alias(name) for name, of in own.items()),
        *(value.alias(name) for name, value in known.items()),
    )
    return RawDiagnoses(FrameRows(selected), dict(codes), shown, counts, flags, **more)


def row_unreadable(rows: DataFrame, read: Iterable[str]) -> Column:
    """SET_ASIDE of a table as it was read: lines that could not be split into fields, and rows with signs
    that could not be decoded in a column that is read.
    """
    types, malformed = dict(rows.dtypes), F.when(column(CORRUPT).isNotNull(), "row_malformed")
    texts = [name for name in dict.fromkeys(read) if types.get(name) == "string"]
    replaced = reduce(or_, (F.contains(column(name), F.lit(REPLACED)) for name in texts), F.lit(False))
    return malformed.when(replaced, ENCODING_UNREADABLE)


def with_plain_ids(rows: DataFrame, names: Iterable[str]) -> DataFrame:
    """The same columns, ids in those named of one spelling (transforms.ids); an unreadable one keeps its own,
    and has a mark (id_unreadable). Only numbers that need not be whole and text change, to text. What the
    source has stays beside them (own_name), for rows that are rejected.
    """
    there = [name for name in dict.fromkeys(names) if name in rows.columns]
    kinds = {
        name: rows.schema[name].dataType for name in there if isinstance(rows.schema[name].dataType, KINDS)
    }
    # Step by step: what an expression has twice, Spark compiles and works out twice.
    numbers, digits = ({name: f"__{step}_{name}" for name in kinds} for step in ("number", "digits"))
    rows = rows.withColumns({numbers[name]: number_of(column(name), kind) for name, kind in kinds.items()})
    rows = rows.withColumns(
        {digits[name]: digits_of(column(numbers[name]), kind) for name, kind in kinds.items()}
    )
    added = {_mark_of(name): F.lit(False) for name in there}
    added |= {own_name(name): column(name).cast("string") for name in kinds}
    for name, kind in kinds.items():
        value, number, found = column(name), column(numbers[name]), column(digits[name])
        # NaN is no number.
        own = number.cast("string") if isinstance(kind, FractionalType) else value
        added |= {name: F.coalesce(found, own), _mark_of(name): number.isNotNull() & found.isNull()}
    return rows.withColumns(added).drop(*numbers.values(), *digits.values())


def id_unreadable(patient: str, *visits: str | None) -> Column:
    """SET_ASIDE of a table that with_plain_ids made. visits: columns with ids of visits or claims."""
    unreadable = F.when(column(_mark_of(patient)), "patient_unreadable")
    for visit in filter(None, visits):
        unreadable = unreadable.when(column(_mark_of(visit)), "visit_unreadable")
    return unreadable


def own_name(name: str) -> str:
    """The column with what the source has in the column of ids `name`, as text."""
    return f"__own_{name}"


def _mark_of(name: str) -> str:
    return f"__unreadable_{name}"


def require_columns(rows: DataFrame, needed: Iterable[str], table: str) -> None:
    """Raise ContractError when the table lacks a column, or one does not hold one value a row."""
    needed = list(needed)
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        # In a file without a header, names that nobody asked for are a patient's.
        known = [name for name in needed if name in rows.columns]
        number = len([name for name in rows.columns if name != CORRUPT])
        raise ContractError(
            f"table {table} has no column {', '.join(missing)} (it has {number} columns, "
            f"{', '.join(known) or 'none that is needed'} among them)",
            f"it needs {', '.join(needed)}",
            "check that this is the right file, and that its first line names the columns",
        )
    for name in needed:
        kind = rows.schema[name].dataType
        if isinstance(kind, SEVERAL_VALUES):
            raise ContractError(
                f"column {name} of table {table} is of type {kind.typeName()}",
                "a column that is read holds one value a row",
                "make a row, or a column, of each value first",
            )


def as_text(rows: DataFrame, names: Iterable[str]) -> DataFrame:
    """Those columns as text; a date is YYYY-MM-DD even where it is kept as a time stamp."""
    types = dict(rows.dtypes)
    return rows.withColumns(
        {
            name: (column(name).cast("date") if types[name].startswith("timestamp") else column(name)).cast(
                "string"
            )
            for name in names
            if types[name] != "string"
        }
    )
