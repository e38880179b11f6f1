"""OMOP CDM 5.x: condition_occurrence, visit_occurrence and person; CSV (plain or gzipped) or Parquet.

A condition's source code is taken, not its standard concept: Med-BERT reads ICD codes. Concept ids from
44,819,000 to 44,838,000 are the OMOP vocabulary's ICD-9-CM, those above 2,000,000,000 are a site's own, and
the others are read as ICD-10-CM; what has not that form is set aside. OMOP has no order of diagnoses inside
a visit: ours is by code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.codes import ICD9CM, ICD10CM
from schemas.errors import ContractError
from schemas.manifest import join
from spark_jobs.sources.raw import (
    CORRUPT,
    ENTRY_COLUMNS,
    MALFORMED,
    RawDiagnoses,
    as_text,
    raw_json,
    read_delimited,
    read_parquet,
    require_columns,
    require_input,
)  # fmt: skip
from spark_jobs.storage import Folder
from spark_jobs.transforms.codes import empty_as_null

CONDITIONS = "condition_occurrence"
VISITS = "visit_occurrence"
PERSONS = "person"
CONDITION_COLUMNS = (
    "person_id", "condition_start_date", "condition_end_date", "condition_type_concept_id",
    "visit_occurrence_id", "condition_source_value", "condition_source_concept_id",
)  # fmt: skip
VISIT_COLUMNS = ("visit_occurrence_id", "visit_start_date", "visit_end_date")
ICD9CM_CONCEPTS = (44_819_000, 44_838_000)
FIRST_LOCAL_CONCEPT = 2_000_000_000
FLAGS = ("dates_of_condition", "visit_unknown")


@dataclass(frozen=True)
class OmopOptions:
    """Options of source omop.

    Args:
        condition_types: condition_type_concept_ids to read, e.g. [32821] for billing diagnoses; empty reads
            all.
    """

    condition_types: list[int] = field(default_factory=list)


def read(spark: SparkSession, uri: str, options: OmopOptions = OmopOptions()) -> RawDiagnoses:
    """Read an OMOP folder. Raises ContractError for a missing table or column.

    Flags: `dates_of_condition` (no such visit: the condition's own dates stand in), `visit_unknown` (of
    these, a visit is named that the visit table lacks). Counts: `persons_unknown`, persons who are not in
    the person table.
    """
    folder = require_input(spark, uri)
    conditions = _table(spark, folder, CONDITIONS, CONDITION_COLUMNS)
    visits = _table(spark, folder, VISITS, VISIT_COLUMNS)
    persons = _table(spark, folder, PERSONS, ("person_id",))
    chosen = F.lit(True)
    if options.condition_types:
        types = [str(number) for number in options.condition_types]
        # A line that cannot be split into fields has no type to go by, and is set aside.
        chosen = (
            F.coalesce(F.trim("condition_type_concept_id").isin(types), F.lit(False))
            | F.col(CORRUPT).isNotNull()
        )
    read_rows = conditions.where(chosen)
    counts = conditions.agg(
        F.count_if(chosen).alias("rows_in"), F.count_if(~chosen).alias("rows_of_other_types")
    )
    known = persons.select(F.trim("person_id").alias("person_id"))
    unknown = (
        read_rows.select(empty_as_null(F.col("person_id")).alias("person_id"))
        .dropna()
        .distinct()
        .join(known, "person_id", "left_anti")
    )
    return RawDiagnoses(
        _entries(read_rows, visits),
        counts=(counts, unknown.agg(F.count("*").alias("persons_unknown"))),
        flags=FLAGS,
    )


def _entries(conditions: DataFrame, visits: DataFrame) -> DataFrame:
    visit_id = empty_as_null(F.col("visit_occurrence_id"))
    stays = visits.where(F.col(CORRUPT).isNull() & visit_id.isNotNull()).select(
        visit_id.alias("stay_id"),
        F.col("visit_start_date").alias("stay_start"),
        F.col("visit_end_date").alias("stay_end"),
    )
    rows = conditions.withColumn("raw", raw_json(conditions.columns)).withColumn("visit_id", visit_id)
    joined = rows.join(stays, F.col("visit_id") == F.col("stay_id"), "left")
    has_stay = F.col("stay_id").isNotNull()
    concept = F.col("condition_source_concept_id").try_cast("bigint")
    return joined.select(
        F.col("person_id").alias("patient_id"),
        "visit_id",
        F.when(has_stay, F.col("stay_start")).otherwise(F.col("condition_start_date")).alias("admit_date"),
        F.when(has_stay, F.col("stay_end"))
        .otherwise(F.coalesce(empty_as_null(F.col("condition_end_date")), F.col("condition_start_date")))
        .alias("discharge_date"),
        F.when(concept.between(*ICD9CM_CONCEPTS), ICD9CM)
        .when(concept >= FIRST_LOCAL_CONCEPT, F.lit(None))
        .otherwise(ICD10CM)
        .alias("system"),
        F.col("condition_source_value").alias("code"),
        *(F.lit(None).cast("int").alias(f"order_{n}") for n in (1, 2, 3)),
        "raw",
        F.col(CORRUPT).isNotNull().alias(MALFORMED),
        (~has_stay).alias("dates_of_condition"),
        (~has_stay & F.col("visit_id").isNotNull()).alias("visit_unknown"),
    ).select(*ENTRY_COLUMNS, *FLAGS)


def _table(spark: SparkSession, folder: Folder, name: str, needed: tuple[str, ...]) -> DataFrame:
    """One table, by name in any case: `name.csv`, `name.csv.gz`, `name.parquet`, or a folder of either."""
    form = re.compile(rf"{name}(\.(csv|csv\.gz|parquet))?", re.IGNORECASE)
    found = [entry for entry in folder.list() if form.fullmatch(entry.path)]
    if len(found) != 1:
        there = ", ".join(entry.path for entry in folder.list()) or "nothing"
        raise ContractError(
            f"{folder.uri} has {len(found)} tables {name} (it has {there})",
            f"an OMOP folder has one each of {CONDITIONS}, {VISITS}, {PERSONS}: .csv, .csv.gz or .parquet",
            "give the folder that holds them",
        )
    path = found[0].path
    inside = folder.files(path) if found[0].is_folder else [found[0]]
    is_parquet = any(entry.path.lower().endswith(".parquet") for entry in inside)
    uri = join(folder.uri, path)
    rows = read_parquet(spark, [uri]) if is_parquet else read_delimited(spark, [uri], ",")
    require_columns(rows, needed, name)
    return as_text(rows, [column for column in rows.columns if column != CORRUPT])
