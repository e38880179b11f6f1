"""Raw diagnosis entries, whatever their source → the diagnoses contract, or a reason why not."""

from __future__ import annotations

import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import DIAGNOSES, ORDER_COLUMNS, REASONS, REJECTED, SOURCE_REASONS
from spark_jobs.transforms.codes import empty_as_null, normalised_code

REASON = "reason"
DATE_PATTERN = r"\A(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
NUMBER_PATTERN = r"\A[+-]?[0-9]+(\.0*)?\z"


def classify(entries: DataFrame, as_of: datetime.date | None = None) -> DataFrame:
    """Parse raw entries (sources.raw.ENTRY_COLUMNS): the contract's columns, and `reason`, null if good.

    Adds nothing, drops nothing: one row out for each row in. as_of: the last day on which a discharge may
    be; None: any, since de-identified data may lie in the future.
    """
    dates = {f"_{name}": _trimmed(entries, name) for name in ("admit_date", "discharge_date")}
    orders = {f"_{name}": _trimmed(entries, name) for name in ORDER_COLUMNS}
    trimmed = entries.withColumns(
        dates
        | orders
        | {
            "patient_id": empty_as_null(F.col("patient_id")),
            "visit_id": empty_as_null(F.col("visit_id")),
            "_system": empty_as_null(F.col("system")),
            "_code": empty_as_null(F.col("code")),
        }
    )
    parsed = trimmed.withColumns(
        {name: _date(trimmed, f"_{name}") for name in ("admit_date", "discharge_date")}
        | {name: _whole_number(trimmed, f"_{name}") for name in ORDER_COLUMNS}
        | {"code": normalised_code(F.col("_system"), F.col("_code"))}
    )
    unreadable_order = [F.col(f"_{name}").isNotNull() & F.col(name).isNull() for name in ORDER_COLUMNS]
    applies = {
        "row_malformed": F.col("malformed"),
        **{reason: F.col("set_aside") == reason for reason in SOURCE_REASONS},
        "patient_missing": F.col("patient_id").isNull(),
        "admit_date_missing": F.col("_admit_date").isNull(),
        "admit_date_unreadable": F.col("admit_date").isNull(),
        "discharge_date_missing": F.col("_discharge_date").isNull(),
        "discharge_date_unreadable": F.col("discharge_date").isNull(),
        "discharge_before_admit": F.col("discharge_date") < F.col("admit_date"),
        "before_birth": F.col("admit_date") < F.col("birth_date"),
        "in_future": F.col("discharge_date") > F.lit(as_of) if as_of else F.lit(False),
        "code_missing": F.col("_code").isNull(),
        "code_system_unknown": F.col("_system").isNull(),
        "code_malformed": F.col("code").isNull(),
        "order_unreadable": unreadable_order[0] | unreadable_order[1] | unreadable_order[2],
    }
    return parsed.withColumn(REASON, F.coalesce(*(F.when(applies[reason], reason) for reason in REASONS)))


def accepted(classified: DataFrame) -> DataFrame:
    return classified.where(F.col(REASON).isNull()).select(*DIAGNOSES.column_names)


def rejected(classified: DataFrame) -> DataFrame:
    return classified.where(F.col(REASON).isNotNull()).select(*REJECTED.column_names)


def _trimmed(entries: DataFrame, name: str) -> Column:
    """Text without blanks, null for empty; a column that is a date or a number already stays as it is."""
    return empty_as_null(F.col(name)) if dict(entries.dtypes)[name] == "string" else F.col(name)


def _date(rows: DataFrame, name: str) -> Column:
    if dict(rows.dtypes)[name] != "string":
        return F.col(name).cast("date")
    return F.when(F.rlike(F.col(name), F.lit(DATE_PATTERN)), F.col(name).try_cast("date"))


def _whole_number(rows: DataFrame, name: str) -> Column:
    if dict(rows.dtypes)[name] != "string":
        return F.col(name).try_cast("int")
    digits = F.regexp_replace(F.col(name), r"\.0*\z", "")
    return F.when(F.rlike(F.col(name), F.lit(NUMBER_PATTERN)), digits.try_cast("int"))
