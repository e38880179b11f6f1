"""A raw table's columns: by name, whatever signs it has, and all of them as one number."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

SEVERAL_VALUES = (ArrayType, MapType, StructType, VariantType)
_HASHABLE = (
    *(StringType, BinaryType, BooleanType, NumericType),
    *(DateType, TimestampType, TimestampNTZType),
)


def quoted(name: str) -> str:
    """The name as Spark's own syntax has it: `patient.id` is a column, and no field of a column patient."""
    return f"`{name.replace('`', '``')}`"


def column(name: str) -> Column:
    """The column of exactly this name."""
    return F.col(quoted(name))


def plain_names(rows: DataFrame) -> DataFrame:
    """The same columns, names trimmed and in lower case."""
    return rows.toDF(*map(plain_name, rows.columns))


def plain_name(name: str) -> str:
    """A column's name as sources name it: trimmed, in lower case."""
    return name.strip().lstrip("\ufeff").lower()


def row_hash(table: DataFrame) -> Column:
    """A hash of all columns: of equal rows the same, of others another (64 bits)."""
    values = [_hashable(column(field.name), field.dataType) for field in table.schema]
    # Spark passes over nulls: (x, null) would be (null, x).
    return F.xxhash64(*values, *(value.isNull() for value in values))


def _hashable(value: Column, kind: DataType) -> Column:
    """Maps have no hash, and within arrays and structs nulls are passed over: as text all of it counts."""
    return value if isinstance(kind, _HASHABLE) else value.cast("string")
