"""What all sources share: raw tables read as text, and the form in which they hand over diagnosis entries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.errors import ContractError
from spark_jobs.storage import Folder

MALFORMED = "malformed"
CORRUPT = "_corrupt_record"

# The columns that transforms.diagnoses.classify reads. Text as the source spells it, or a date or number
# where the source has the type. system: ICD9CM, ICD10CM or another name, null if unknown. raw: the row as
# JSON.
ENTRY_COLUMNS = (
    "patient_id", "visit_id", "admit_date", "discharge_date", "system", "code",
    "order_1", "order_2", "order_3", "raw", MALFORMED,
)  # fmt: skip


@dataclass(frozen=True)
class RawDiagnoses:
    """A source's diagnosis entries.

    entries: ENTRY_COLUMNS and the columns that `flags` names (boolean: rows to be counted in the manifest).
    counts: DataFrames of one row each, counted apart from the entries' own way, one with `rows_in`.
    inputs: manifests' fingerprints, where the source is one of our own folders.
    """

    entries: DataFrame
    counts: tuple[DataFrame, ...]
    flags: tuple[str, ...] = ()
    inputs: dict[str, str] | None = None


def read_delimited(spark: SparkSession, paths: list[str], separator: str) -> DataFrame:
    """CSV or TSV with a header, plain or compressed: every column as text, names trimmed and in lower case.

    Adds `_corrupt_record`: the line, where it does not have the header's number of fields; else null.
    """
    reader = spark.read.options(
        sep=separator,
        header=True,
        quote='"',
        escape='"',
        # A header that differs between files is an error, not a shift of columns.
        enforceSchema=False,
        # Otherwise a short line goes unseen when only some columns are asked for.
        columnPruning=False,
        columnNameOfCorruptRecord=CORRUPT,
    )
    header = reader.option("inferSchema", False).csv(paths).schema.fieldNames()
    fields = ", ".join(f"`{name.replace('`', '``')}` string" for name in (*header, CORRUPT))
    return _plain_names(reader.schema(fields).csv(paths))


def read_parquet(spark: SparkSession, paths: list[str]) -> DataFrame:
    """Parquet: columns in their own types, names trimmed and in lower case, `_corrupt_record` null."""
    return _plain_names(spark.read.parquet(*paths)).withColumn(CORRUPT, F.lit(None).cast("string"))


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


def require_input(spark: SparkSession, uri: str) -> Folder:
    """The input, file or folder. Raises ContractError where there is none."""
    folder = Folder(spark, uri)
    if not folder.exists():
        raise ContractError(f"{uri} does not exist", "the input is a file or folder", "check --input")
    return folder


def _plain_names(rows: DataFrame) -> DataFrame:
    return rows.toDF(*(name.strip().lstrip("\ufeff").lower() for name in rows.columns))
