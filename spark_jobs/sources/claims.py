"""Wide claims as the generator writes them (schemas.claims): a row a claim, up to 12 diagnosis columns.

A diagnosis entry is a diagnosis column that is not empty; the first column always is one, so that a claim
without any diagnosis is set aside rather than lost. The visit is the claim, the order is that of the
columns.
"""

from __future__ import annotations

from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.claims import CLAIMS, CLAIMS_FOLDER, DIAGNOSIS_COLUMNS, KIND
from schemas.codes import ICD9CM, ICD10CM
from schemas.manifest import MANIFEST_NAME, join
from spark_jobs.publish import read_published
from spark_jobs.sources.raw import (
    ENTRY_COLUMNS,
    MALFORMED,
    RawDiagnoses,
    raw_json,
    read_parquet,
    require_columns,
    require_input,
)  # fmt: skip
from spark_jobs.transforms.codes import empty_as_null

FIRST = DIAGNOSIS_COLUMNS[0]


def read(spark: SparkSession, uri: str, options: object = None) -> RawDiagnoses:
    """Read the generator's folder, or any Parquet folder of that layout. Raises ContractError."""
    folder = require_input(spark, uri)
    inputs = {}
    if folder.exists(MANIFEST_NAME):
        published = read_published(spark, uri, KIND)
        inputs = {KIND: published.manifest.fingerprint}
        paths = [
            join(uri, f.path) for f in published.manifest.files if f.path.startswith(f"{CLAIMS_FOLDER}/")
        ]
    else:
        paths = [join(uri, CLAIMS_FOLDER) if folder.is_folder(CLAIMS_FOLDER) else uri]
    table = read_parquet(spark, paths)
    require_columns(table, CLAIMS.column_names, f"{CLAIMS_FOLDER} in {uri}")
    count = table.agg(
        F.coalesce(
            F.sum(reduce(add, (_is_entry(name).cast("bigint") for name in DIAGNOSIS_COLUMNS))), F.lit(0)
        ).alias("rows_in"),
        F.count("*").alias("claims_in"),
    )
    return RawDiagnoses(_entries(table), counts=(count,), inputs=inputs)


def _entries(table: DataFrame) -> DataFrame:
    slots = F.array(
        *(
            F.struct(
                F.lit(name).alias("column"),
                F.lit(n).alias("place"),
                F.col(name).alias("code"),
                _is_entry(name).alias("is_entry"),
            )
            for n, name in enumerate(DIAGNOSIS_COLUMNS, start=1)
        )
    )
    version = F.col("icd_version").cast("string")
    long = table.withColumn("slot", F.explode(F.filter(slots, lambda slot: slot["is_entry"])))
    long = long.withColumn("diagnosis_column", F.col("slot.column"))
    return long.select(
        F.col("patient_id").cast("string").alias("patient_id"),
        F.col("claim_id").cast("string").alias("visit_id"),
        "admit_date",
        "discharge_date",
        F.when(version == "9", ICD9CM).when(version == "10", ICD10CM).alias("system"),
        F.col("slot.code").cast("string").alias("code"),
        F.col("slot.place").alias("order_1"),
        F.lit(None).cast("int").alias("order_2"),
        F.lit(None).cast("int").alias("order_3"),
        raw_json((*table.columns, "diagnosis_column")).alias("raw"),
        F.lit(False).alias(MALFORMED),
    ).select(*ENTRY_COLUMNS)


def _is_entry(name: str) -> Column:
    return F.lit(True) if name == FIRST else empty_as_null(F.col(name).cast("string")).isNotNull()
