"""Rules on claims that belong together: which rows another one makes void. They mark rows, and drop none.

Each reads columns of sources.claim_lines and fills `__set_aside` with a reason of
schemas.diagnoses.SOURCE_REASONS, where none stands yet. A row that is set aside already has no say in others.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.sources.claim_lines import CLAIM, LINE, ROW, filled, matches
from spark_jobs.sources.claims_map import ClaimsMap, Status, plain
from spark_jobs.sources.columns import column
from spark_jobs.transforms.diagnoses import ADMIT, DISCHARGE, ORDERS, PATIENT, SET_ASIDE, SYSTEM


def set_aside_duplicates(lines: DataFrame) -> DataFrame:
    """All but one of the rows that are equal in all columns, as `duplicate_line`."""
    # Rows are compared by a hash, but only with rows of the same claim (or patient).
    equal = Window.partitionBy(PATIENT, CLAIM, LINE, ROW).orderBy(F.lit(1))
    return _mark(lines.withColumn("__n", F.row_number().over(equal)), F.col("__n") > 1, "duplicate_line")


def set_aside_undone(lines: DataFrame, status: Status, claims_map: ClaimsMap) -> DataFrame:
    """Reversals with the claims that they take back, as `claim_reversed`; what was replaced, as
    `claim_replaced`. A replacement stays, unless a reversal or another replacement names it in turn.
    """
    value = filled(column(plain(status.column)), claims_map)
    target = filled(column(plain(status.original)), claims_map) if status.original else F.col(CLAIM)
    lines = lines.withColumns(
        {
            "__reverses": matches(value, status.reversed),
            "__replaces": matches(value, status.replacement),
            "__target": target,
        }
    )
    undone = (
        lines.where(F.col(SET_ASIDE).isNull() & F.col("__target").isNotNull())
        .where(F.col("__reverses") | F.col("__replaces"))
        .groupBy(F.col(PATIENT).alias("__undone_patient"), F.col("__target").alias("__undone"))
        .agg(F.max("__reverses").alias("__by_reversal"))
    )
    same = (F.col(PATIENT) == F.col("__undone_patient")) & (F.col(CLAIM) == F.col("__undone"))
    lines = lines.join(undone, same, "left")
    # A replacement under the number of the claim that it replaces does not replace itself; a reversal under
    # that number takes both back.
    stays = F.col("__replaces") & F.coalesce(F.col("__target") == F.col(CLAIM), F.lit(False))
    is_undone = F.col("__undone").isNotNull() & (F.col("__by_reversal") | ~stays)
    reversed_ = F.col("__reverses") | (is_undone & F.col("__by_reversal"))
    lines = _mark(lines, reversed_, "claim_reversed")
    return _mark(lines, is_undone | matches(value, status.superseded), "claim_replaced")


def repeated_on_lines(rows: DataFrame, code: str) -> DataFrame:
    """Rows of one diagnosis, in the column `code`: all but the first of a code in a claim with one pair of
    dates, as `repeated_on_line`. Rows that are set aside already do not count as the first.
    """
    bare = F.upper(F.regexp_replace(code, r"\.", ""))
    same = Window.partitionBy(
        PATIENT, CLAIM, ADMIT, DISCHARGE, SYSTEM, bare, F.col(SET_ASIDE).isNull()
    ).orderBy(ORDERS[0], F.col(LINE).try_cast("int"), LINE, ROW)
    repeated = (F.row_number().over(same) > 1) & F.col(code).isNotNull() & F.col(CLAIM).isNotNull()
    return _mark(rows.withColumn("__n", repeated), F.col("__n"), "repeated_on_line")


def _mark(lines: DataFrame, applies: Column, reason: str) -> DataFrame:
    return lines.withColumn(SET_ASIDE, F.coalesce(F.col(SET_ASIDE), F.when(applies, reason)))
