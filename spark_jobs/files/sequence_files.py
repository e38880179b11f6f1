"""Files of sequences as Spark's Python workers read them, straight into Arrow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from schemas.manifest import join
from schemas.sequences import SEQUENCES, SPLIT
from spark_jobs.files.publish import Published
from spark_jobs.files.storage import Folder
from spark_jobs.grouping import groups_of

PATIENTS_PER_TASK = 200_000


@dataclass(frozen=True)
class SequenceFile:
    """One file. uri: with its scheme; where: for messages."""

    uri: str
    where: str
    split: str

    def read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its patients, a row group at a time. Raises ContractError for a missing column."""
        with fsspec.open(self.uri, "rb") as stream:
            parquet = pq.ParquetFile(stream)
            SEQUENCES.check_arrow(parquet.schema_arrow, self.where)
            for group in range(parquet.num_row_groups):
                rows = parquet.read_row_group(group, list(columns), use_threads=False)
                schema = pa.schema([SEQUENCES.arrow.field(name) for name in columns])
                yield from rows.cast(schema).combine_chunks().to_batches()


def sequence_files(spark: SparkSession, source: Published) -> list[list[SequenceFile]]:
    """The published files, in groups for a task each."""
    root = Folder(spark, source.uri).qualified
    files = [
        (SequenceFile(join(root, file.path), join(source.uri, file.path), _split_of(file.path)), file.rows)
        for file in source.manifest.files
    ]
    cores = spark.sparkContext.defaultParallelism
    most = min(PATIENTS_PER_TASK, math.ceil(source.manifest.num_rows / cores))
    return list(groups_of(files, most))


def _split_of(path: str) -> str:
    return path.partition("/")[0].removeprefix(f"{SPLIT}=")
