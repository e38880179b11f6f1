"""The generator's tables as DataFrames: Spark spreads block numbers, each task simulates its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from schemas.claims import CLAIMS, PATIENTS
from spark_jobs.generator.arrow import claims_batch, patients_batch
from spark_jobs.generator.block import Plan, simulate_block, simulate_patients
from spark_jobs.generator.code_table import CodeTable
from spark_jobs.generator.model import DiseaseModel

NUM_DIAGNOSES = "num_diagnoses"


def claims_frame(spark: SparkSession, model: DiseaseModel, plan: Plan, num_partitions: int) -> DataFrame:
    """All claims, in order of patient and admission, whatever the number of partitions.

    Beside the contract's columns there is NUM_DIAGNOSES, a claim's codes: to count them from twelve columns
    would cost Spark more than the simulation.
    """

    def simulate(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = CodeTable(model)
        for block in _block_numbers(batches):
            simulated = simulate_block(model, table, plan, block)
            num_diagnoses = pa.array((simulated.diagnoses >= 0).sum(axis=1).astype(np.int32))
            yield claims_batch(simulated, table).append_column(NUM_DIAGNOSES, num_diagnoses)

    blocks = spark.range(0, plan.num_blocks, 1, num_partitions)
    return blocks.mapInArrow(simulate, f"{CLAIMS.ddl}, {NUM_DIAGNOSES} int NOT NULL")


def patients_frame(spark: SparkSession, model: DiseaseModel, plan: Plan, num_partitions: int) -> DataFrame:
    """All patients, in order, those without a claim among them."""

    def simulate(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for block in _block_numbers(batches):
            yield patients_batch(block * plan.patients_per_block, simulate_patients(model, plan, block))

    return spark.range(0, plan.num_blocks, 1, num_partitions).mapInArrow(simulate, PATIENTS.ddl)


def _block_numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()
