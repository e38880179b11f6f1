"""Published Parquet files as Spark's Python workers read them, straight into Arrow."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from schemas.manifest import ManifestFile, check_file, join
from schemas.parquet import open_listed_parquet
from schemas.shards import PARQUET
from schemas.table import TableSchema
from spark_jobs.files.publish import Published
from spark_jobs.files.storage import Folder
from spark_jobs.grouping import groups_of, numbers_in, task_numbers

if TYPE_CHECKING:
    import pyarrow.parquet as pq

log = logging.getLogger(__name__)

# Files of diagnoses have more, those of shards fewer. It decides which rows a task has, so it is fixed.
ROWS_PER_TASK = 100_000
_ROWS_PER_BATCH = 1 << 17


@dataclass(frozen=True)
class ListedFile:
    """A file that a manifest lists. root: its folder, with its scheme; where: that folder, for messages."""

    root: str
    where: str
    file: ManifestFile

    @property
    def path(self) -> str:
        """For messages."""
        return join(self.where, self.file.path)

    def open(self, **options: Any) -> pq.ParquetFile:
        """The file, read whole and compared with its SHA-256. options: of pyarrow's ParquetFile.

        Raises ContractError.
        """
        return open_listed_parquet(self.root, self.file, self.where, **options)

    def check(self) -> None:
        """Compare the SHA-256 here, for a file that Spark's own reader will read. Raises ContractError.

        Where fsspec has no driver for the file system, Spark compares the checksums of pages (session).
        """
        try:
            check_file(self.root, self.file, verify=True)
        except ImportError as error:
            log.warning("the SHA-256 of %s is not compared: %s", self.path, error)


def listed_files(spark: SparkSession, source: Published) -> list[ListedFile]:
    """The files of a published folder, in the manifest's order."""
    root = Folder(spark, source.uri).qualified
    return [ListedFile(root, source.uri, file) for file in source.manifest.files]


def read_table(
    spark: SparkSession, source: Published, schema: TableSchema, *, subfolder: str = ""
) -> DataFrame:
    """The contract's columns of the Parquet files that the manifest lists (and of no stray file beside them).

    Rows of a file stay together, in their order. A task raises ContractError for a missing column and for a
    file that is not the one that was published (worker_errors).
    """
    wanted = [
        (listed, listed.file.rows)
        for listed in listed_files(spark, source)
        if listed.file.path.startswith(subfolder) and listed.file.path.endswith(f".{PARQUET}")
    ]
    nullable = pa.schema([field.with_nullable(True) for field in schema.arrow])
    tasks = list(groups_of(wanted, ROWS_PER_TASK))

    def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for listed in (listed for number in numbers_in(numbers) for listed in tasks[number]):
            with listed.open() as parquet:
                schema.check_arrow(parquet.schema_arrow, listed.path)
                for rows in parquet.iter_batches(
                    _ROWS_PER_BATCH, columns=list(schema.column_names), use_threads=False
                ):
                    yield rows.select(list(schema.column_names)).cast(nullable)

    columns = ", ".join(f"`{column.name}` {column.type}" for column in schema.columns)
    return task_numbers(spark, len(tasks)).mapInArrow(read, columns)
