"""Files of sequences as Spark's Python workers read them, straight into Arrow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import SparkSession

from schemas.sequences import SEQUENCES, SPLIT
from spark_jobs.files.listed_tables import ListedFile, listed_files
from spark_jobs.files.publish import Published
from spark_jobs.grouping import groups_of

PATIENTS_PER_TASK = 200_000


@dataclass(frozen=True)
class SequenceFile:
    """One file."""

    listed: ListedFile

    @property
    def split(self) -> str:
        """That whose patients it has."""
        return self.listed.file.path.partition("/")[0].removeprefix(f"{SPLIT}=")

    def read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its patients, a row group at a time.

        Raises ContractError for a missing column, and for another file than was published.
        """
        with self.listed.open() as parquet:
            SEQUENCES.check_arrow(parquet.schema_arrow, self.listed.path)
            for group in range(parquet.num_row_groups):
                rows = parquet.read_row_group(group, list(columns), use_threads=False)
                schema = pa.schema([SEQUENCES.arrow.field(name) for name in columns])
                yield from rows.cast(schema).combine_chunks().to_batches()


def sequence_files(spark: SparkSession, source: Published) -> list[list[SequenceFile]]:
    """The published files, in groups for a task each."""
    files = [(SequenceFile(listed), listed.file.rows) for listed in listed_files(spark, source)]
    cores = spark.sparkContext.defaultParallelism
    most = min(PATIENTS_PER_TASK, math.ceil(source.manifest.num_rows / cores))
    return list(groups_of(files, most))
