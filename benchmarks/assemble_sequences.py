"""How to assemble patients: flat NumPy in mapInArrow over sorted partitions (ours), or native Spark SQL.

    python -m benchmarks.assemble_sequences --patients 80000

Both get the same numbered rows (as transforms.visits.assemble wants them) from Parquet, shuffle them once by
patient, and make the same sequences, which is checked. Numbers: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import psutil
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.diagnoses import ORDER_COLUMNS
from schemas.sequences import SEQUENCES
from spark_jobs.session import open_session
from spark_jobs.transforms.visits import (
    ADMIT,
    DISCHARGE,
    PATIENT_ID,
    TOKEN_ID,
    assemble,
    whole_patients,
)

COLUMNS = (PATIENT_ID, "token_ids", "visit_numbers", "los_days", "days_to_next_visit", "prolonged_los")
ROWS_PER_PATIENT = 25


def numbered_rows(spark: SparkSession, patients: int) -> DataFrame:
    """Random rows: about 8 visits a patient, 25 rows, some repeated, in no order."""
    rows = spark.range(patients * ROWS_PER_PATIENT).select(
        F.sha1((F.col("id") % patients).cast("string")).alias(PATIENT_ID),
        F.floor(F.rand(1) * 8).cast("int").alias("visit"),
        *((F.rand(10 + n) * 5).cast("int").alias(name) for n, name in enumerate(ORDER_COLUMNS)),
        (F.rand(2) * F.rand(3) * 6_000).cast("int").alias("place"),
    )
    chance = F.xxhash64(PATIENT_ID, "visit")
    discharge = 15_000 + F.col("visit") * 90 + F.pmod(chance, F.lit(60)).cast("int")
    admit = discharge - F.pmod(F.shiftright(chance, 8), F.lit(10)).cast("int")
    return rows.select(
        PATIENT_ID, admit.alias(ADMIT), discharge.alias(DISCHARGE), *ORDER_COLUMNS, "place",
        F.col("place").alias(TOKEN_ID),
    )  # fmt: skip


def with_numpy(rows: DataFrame, num_partitions: int) -> DataFrame:
    def assemble_all(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for patients in whole_patients(batches):
            yield assemble(patients, 1).select(SEQUENCES.column_names)

    together = rows.repartition(num_partitions, PATIENT_ID)
    ordered = together.sortWithinPartitions(PATIENT_ID, DISCHARGE, *ORDER_COLUMNS, "place")
    return ordered.mapInArrow(assemble_all, SEQUENCES.ddl).select(*COLUMNS)


def with_sql(rows: DataFrame, num_partitions: int) -> DataFrame:
    """Two groupings on one shuffle; order by sorting arrays of structs."""
    together = rows.repartition(num_partitions, PATIENT_ID)
    entry = F.struct(*ORDER_COLUMNS, "place", TOKEN_ID)
    visits = together.groupBy(PATIENT_ID, DISCHARGE).agg(
        F.min(ADMIT).alias(ADMIT), F.array_sort(F.collect_list(entry)).alias("entries")
    )
    codes = F.array_distinct(F.transform("entries", lambda e: e[TOKEN_ID]))
    visit = F.struct(DISCHARGE, ADMIT, codes.alias("codes"))
    patients = visits.groupBy(PATIENT_ID).agg(F.array_sort(F.collect_list(visit)).alias("visits"))
    count = F.size("visits")

    def to_next(v, i):
        following = F.get("visits", i + 1)
        return F.coalesce(following[ADMIT] - v[DISCHARGE], F.lit(0))

    los = F.transform("visits", lambda v: v[DISCHARGE] - v[ADMIT])
    return patients.where(count > 0).select(
        PATIENT_ID,
        F.flatten(F.transform("visits", lambda v: v["codes"])).alias("token_ids"),
        F.flatten(F.transform("visits", lambda v, i: F.array_repeat(i + 1, F.size(v["codes"])))).alias(
            "visit_numbers"
        ),
        los.alias("los_days"),
        F.transform("visits", to_next).alias("days_to_next_visit"),
        (F.array_max(los) > 7).alias("prolonged_los"),
    )


def cpu_seconds() -> float:
    """Of this process, Spark's JVM (under spark-submit our parent) and its Python workers."""
    here = psutil.Process()
    family = {here, *here.children(recursive=True)}
    if (parent := here.parent()) and parent.name() == "java":
        family |= {parent, *parent.children(recursive=True)}
    return sum(times.user + times.system for times in (process.cpu_times() for process in family))


def measure(action: Callable[[], object], repeats: int) -> list[tuple[float, float]]:
    """(wall, CPU) seconds of each repeat."""
    taken = []
    for _ in range(repeats):
        started, cpu = time.perf_counter(), cpu_seconds()
        action()
        taken.append((time.perf_counter() - started, cpu_seconds() - cpu))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=80_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    spark = open_session("assemble_sequences")
    with tempfile.TemporaryDirectory() as folder:
        numbered_rows(spark, options.patients).write.parquet(f"{folder}/rows")
        rows = spark.read.parquet(f"{folder}/rows")
        ways = {"NumPy in mapInArrow": with_numpy, "Spark SQL": with_sql}
        made = {name: way(rows, options.partitions) for name, way in ways.items()}
        first, second = made.values()
        assert first.exceptAll(second).isEmpty() and second.exceptAll(first).isEmpty(), "the two differ"
        for name, frame in made.items():
            taken = measure(lambda f=frame: f.write.format("noop").mode("overwrite").save(), options.repeats)
            wall, cpu = (statistics.median(column) for column in zip(*taken, strict=True))
            count = options.patients * ROWS_PER_PATIENT
            rate = count / cpu
            print(f"{name}: {count:,} rows, wall {wall:.1f} s, CPU {cpu:.1f} s, {rate:,.0f} rows/s a core")
    spark.stop()


if __name__ == "__main__":
    main()
