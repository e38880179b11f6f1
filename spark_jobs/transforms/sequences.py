"""Diagnoses → one row a patient, visits in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import ORDER_COLUMNS
from schemas.sequences import BY_DISCHARGE_DATE, BY_OVERLAP, BY_VISIT_ID, SEQUENCES
from schemas.vocabulary import SpecialTokens
from spark_jobs.transforms.visits import (
    ADMIT,
    DISCHARGE,
    PATIENT_ID,
    TOKEN_ID,
    UNKNOWN,
    VISIT_ID,
    assemble_patients,
)

NUM_ROWS, NUM_UNKNOWN, NUM_MERGED = "num_rows", "num_unknown", "num_merged"
ASSEMBLED_DDL = f"{SEQUENCES.ddl}, {NUM_ROWS} bigint, {NUM_UNKNOWN} bigint, {NUM_MERGED} bigint"
_LAST = 2**31 - 1


def token_table(tokens: Sequence[str], special: SpecialTokens) -> pa.Table:
    """(code, known_id, place): a vocabulary's codes, their ids, and their places in the order of codes."""
    codes = sorted((token, token_id) for token_id, token in enumerate(tokens) if token_id not in special.ids)
    return pa.table(
        {
            "code": pa.array([code for code, _ in codes], pa.string()),
            "known_id": pa.array([token_id for _, token_id in codes], pa.int32()),
            "place": pa.array(range(len(codes)), pa.int32()),
        }
    )


def with_token_ids(diagnoses: DataFrame, codes: DataFrame, visits: str = BY_DISCHARGE_DATE) -> DataFrame:
    """Codes to ids, before the shuffle: a number is cheaper to move and to compare than a string.

    A code that is not in the vocabulary is UNKNOWN. Ties in a visit go by code, unknown codes last. The visit
    id comes along only where visits are by it.
    """
    joined = diagnoses.join(F.broadcast(codes), "code", "left")
    order = [F.coalesce(F.col(name), F.lit(_LAST)).alias(name) for name in ORDER_COLUMNS]  # nulls last
    visit_id = [F.coalesce(VISIT_ID, F.lit("")).alias(VISIT_ID)] if visits == BY_VISIT_ID else []
    return joined.select(
        PATIENT_ID,
        F.unix_date("admit_date").alias(ADMIT),
        F.unix_date("discharge_date").alias(DISCHARGE),
        *order,
        F.coalesce(F.col("place"), F.lit(_LAST)).alias("place"),
        F.coalesce("known_id", F.lit(UNKNOWN)).alias(TOKEN_ID),
        *visit_id,
    )


def assemble_sequences(
    rows: DataFrame, unk: int | None, num_partitions: int | None, visits: str = BY_DISCHARGE_DATE
) -> DataFrame:
    """Rows of with_token_ids to one row a patient (ASSEMBLED_DDL), sorted in each partition.

    unk: the id for unknown codes; if None, they are left out. visits: which rows are one visit, one of
    schemas.sequences.VISIT_RULES, the same as for with_token_ids. num_partitions: into how many patients are
    shuffled; None where each patient's rows lie in one partition already.
    """
    together = rows if num_partitions is None else rows.repartition(num_partitions, PATIENT_ID)
    visit_keys: dict[str, list[Column]] = {
        BY_DISCHARGE_DATE: [F.col(DISCHARGE)],
        BY_VISIT_ID: [F.col(VISIT_ID), F.when(F.col(VISIT_ID) == "", F.col(DISCHARGE))],
        BY_OVERLAP: [],
    }
    ordered = together.sortWithinPartitions(PATIENT_ID, *visit_keys[visits], *ORDER_COLUMNS, "place")
    flat = ordered.select(
        PATIENT_ID, ADMIT, DISCHARGE, TOKEN_ID, *([VISIT_ID] if visits == BY_VISIT_ID else [])
    )
    return flat.mapInArrow(partial(assemble_patients, unk=unk, visits=visits), ASSEMBLED_DDL)


def counters(min_codes: int) -> list[Column]:
    """What a sequences manifest counts, as aggregates over assembled sequences with their split."""
    codes, visits = F.size("token_ids").cast("bigint"), F.size("los_days").cast("bigint")
    long_enough = codes >= min_codes
    found = [
        F.sum(NUM_ROWS).alias("rows_in"),
        F.sum(NUM_UNKNOWN).alias("rows_of_unknown_codes"),
        F.count("*").alias("patients_in"),
        F.count_if(~long_enough).alias("patients_with_too_few_codes"),
        F.count_if(long_enough & F.col("prolonged_los")).alias("patients_with_prolonged_los"),
        F.sum(F.when(long_enough, visits)).alias("visits"),
        F.sum(F.when(long_enough, F.col(NUM_MERGED))).alias("stays_merged"),
        F.sum(F.when(long_enough, codes)).alias("codes"),
        F.max(F.when(long_enough, visits)).alias("max_visits"),
        F.max(F.when(long_enough, codes)).alias("max_codes"),
    ]
    return found
