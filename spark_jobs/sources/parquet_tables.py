"""Parquet as Spark reads it, the files' footers compared before: their columns may have several types.

As when each month's file was written by itself: whole numbers are floats where one is missing, a column
without any value has no type, text and dates come in several kinds. Spark takes the first file's types for
all, and fails at the first row of another, in a task. Files of one schema are read together, and their
columns cast to one type where nothing is lost by it: a whole number has the same digits in every type.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    FloatType,
    FractionalType,
    IntegralType,
    LongType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from schemas.errors import ContractError
from spark_jobs.files.literal_paths import literal
from spark_jobs.sources.columns import column, plain_names, quoted
from spark_jobs.sources.parquet_files import INT96, NANOSECONDS, Footer, no_parquet, read_footers
from spark_jobs.transforms.ids import digits_of

_DATES = (DateType, TimestampType, TimestampNTZType)
_UTC = {None, "UTC", "Etc/UTC", "GMT", "Z", "+00:00", "-00:00", "UCT", "Zulu"}

Types = Mapping[str, DataType | None]
"""Plain name → type in one file; None for a column without any value, which has none."""


def read_parquet(
    spark: SparkSession,
    paths: Sequence[str],
    options: Mapping[str, bool | int | str] | None = None,
    needed: Collection[str] = (),
) -> DataFrame:
    """Parquet files and folders as one table, names trimmed and in lower case.

    needed: plain names of columns that will be read. Raises ContractError for files that are no Parquet, and
    where a needed column is in some files only, or of types that are not one: it names two files. Any other
    such column is text, or null. options: of Spark's reader; with mergeSchema it is all Spark's to compare.
    """

    def reader() -> DataFrameReader:
        return spark.read.options(**(options or {}))

    patterns = [literal(path) for path in paths]
    merges = str({name.lower(): value for name, value in (options or {}).items()}.get("mergeschema", ""))
    files = sorted(map(unquote, reader().schema("_ int").parquet(*patterns).inputFiles()))
    footers = None if merges.lower() == "true" else read_footers(files)
    if not footers:
        return plain_names(reader().parquet(*patterns))
    if others := [uri for uri, footer in footers.items() if footer is None]:
        raise no_parquet(others)
    alike: dict[tuple, list[str]] = defaultdict(list)
    for uri, footer in footers.items():
        assert footer
        alike[footer.signature].append(uri)
    if len(alike) == 1:
        table = plain_names(reader().parquet(*patterns))
        return table.select(*_values(table, footers[files[0]]).values())
    # Of files that are named one by one Spark would not see the columns of their folders (key=value).
    below = {} if len(paths) > 1 or "basePath" in (options or {}) else {"basePath": paths[0]}
    tables = {}
    for uris in alike.values():
        table = plain_names(reader().options(**below).parquet(*map(literal, uris)))
        tables[uris[0]] = table.select(*_values(table, footers[uris[0]]).values())
    types = {
        uri: {
            field.name: None if field.name in _untyped(footers[uri]) else field.dataType
            for field in table.schema
        }
        for uri, table in tables.items()
    }
    wanted = common_types(types, needed)
    return reduce(DataFrame.unionByName, (_as(table, types[uri], wanted) for uri, table in tables.items()))


def common_types(types: Mapping[str, Types], needed: Collection[str]) -> dict[str, DataType]:
    """Plain name → the type that a column of several files is cast to, in order of their columns.

    types: file → its columns. Raises ContractError for needed columns that have none, or are not everywhere.
    """
    names = dict.fromkeys(name for of_file in types.values() for name in of_file)
    found: dict[str, DataType] = {}
    for name in names:
        in_files = {uri: of_file[name] for uri, of_file in types.items() if name in of_file}
        if name in needed and len(in_files) < len(types):
            lacks = next(uri for uri in types if uri not in in_files)
            raise ContractError(
                f"column {name} is in {next(iter(in_files))}, and not in {lacks}",
                "files of one table have one header: each has every column that is read",
                "add the column to the files that lack it; or, where it may be null for them, give "
                "--format_options '{mergeSchema: true}'",
            )
        kinds = {kind.simpleString(): (uri, kind) for uri, kind in in_files.items() if kind is not None}
        common = _common([kind for _, kind in kinds.values()])
        if common is None and name in needed:
            (first, (uri, _)), (second, (other, _)), *_ = kinds.items()
            raise ContractError(
                f"column {name} is {first} in {uri}, and {second} in {other}",
                "a column has one type in all files of a table, or types of which one holds the values of "
                "the others: numbers that should be text may have lost their zeros",
                "write one of the files again with the other's type",
            )
        found[name] = common or StringType()
    return found


def _common(kinds: Sequence[DataType]) -> DataType | None:
    """The type that holds the values of all; text for numbers, whose digits it keeps. None: there is none."""
    if not kinds:
        return StringType()
    if all(kind == kinds[0] for kind in kinds):
        return kinds[0]
    if all(isinstance(kind, IntegralType) for kind in kinds):
        return LongType()
    # Of 32 bits a float is not exact from 2^24 on, and its text does not say so.
    if all(isinstance(kind, NumericType) and not isinstance(kind, FloatType) for kind in kinds):
        return StringType()
    if all(isinstance(kind, _DATES) for kind in kinds):
        return TimestampNTZType()
    return StringType() if all(isinstance(kind, (StringType, *_DATES)) for kind in kinds) else None


def _as(table: DataFrame, types: Types, wanted: Mapping[str, DataType]) -> DataFrame:
    return table.select(
        *(
            _cast(column(name), types.get(name), kind).alias(name)
            for name, kind in wanted.items()
        )
    )  # fmt: skip


def _cast(value: Column, kind: DataType | None, wanted: DataType) -> Column:
    if kind is None:
        return F.lit(None).cast(wanted)
    if not isinstance(wanted, StringType):
        return value.cast(wanted)
    if isinstance(kind, FractionalType):
        return F.coalesce(digits_of(value, kind), value.cast("string"))
    if isinstance(kind, (TimestampType, TimestampNTZType)):
        is_day = value == F.date_trunc("day", value)
        return F.when(is_day, value.cast("date").cast("string")).otherwise(value.cast("string"))
    return value.cast("string")


def _values(table: DataFrame, footer: Footer | None) -> dict[str, Column]:
    """Plain name → its values: nanoseconds as a time, and a time of a zone as that zone's own clock says it.

    Spark reads nanoseconds as numbers (spark.sql.legacy.parquet.nanosAsLong), and knows no zone but UTC.
    """
    found = {name: column(name) for name in table.columns}
    kinds = footer.kinds if footer else {}
    for name in found.keys() & kinds.keys():
        kind, value = kinds[name], column(name)
        if kind.startswith(NANOSECONDS) and not kind.endswith(INT96):
            exact = quoted(name)  # there is no whole division among Spark's functions
            value = F.timestamp_micros(F.expr(f"({exact} - pmod({exact}, 1000)) div 1000"))
        zone = footer.zones.get(name) if footer else None
        if zone not in _UTC:
            value = F.from_utc_timestamp(value, zone)
        found[name] = value.alias(name)
    return found


def _untyped(footer: Footer | None) -> set[str]:
    return {name for name, kind in (footer.kinds if footer else {}).items() if kind == "null"}
