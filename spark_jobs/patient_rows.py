"""Diagnoses, each patient's rows together and in a task's hands: straight from the files where these hold
whole patients, else through a shuffle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from schemas.diagnoses import CODE, DIAGNOSES, PATIENT_ID
from schemas.layout import has_whole_patients
from schemas.manifest import join
from schemas.rules import check_diagnoses
from spark_jobs.publish import Published, read_table
from spark_jobs.storage import Folder
from spark_jobs.transforms.layout import num_partitions_for
from spark_jobs.transforms.visits import whole_patients

# What a task looks at once: NumPy's cost is per batch, and so is that of a batch's distinct codes.
ROWS_PER_BATCH = 1_000_000


@dataclass(frozen=True)
class PatientRows:
    """What a task makes of a partition of frame_of_patients: diagnoses, whole patients, in order of patients.

    where: for messages. paths: the files whose numbers the partitions hold; none: they hold rows. columns:
    what is read of the files.
    """

    where: str
    paths: tuple[str, ...] = ()
    columns: tuple[str, ...] = DIAGNOSES.column_names

    def batches(self, partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in whole_patients(self._read(partition) if self.paths else partition):
            check_diagnoses(rows, self.where)
            yield rows

    def _read(self, partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for numbers in partition:
            for number in numbers[0].to_pylist():
                with fsspec.open(self.paths[number], "rb") as file:
                    parquet = pq.ParquetFile(file, read_dictionary=[CODE])
                    DIAGNOSES.check_arrow(parquet.schema_arrow, self.where)
                    for groups in _together(parquet.metadata):
                        rows = parquet.read_row_groups(groups, list(self.columns), use_threads=False)
                        yield from rows.unify_dictionaries().combine_chunks().to_batches()


def _together(metadata: pq.FileMetaData) -> Iterator[list[int]]:
    """A file's row groups, of so many rows together."""
    groups: list[int] = []
    rows = 0
    for number in range(metadata.num_row_groups):
        more = metadata.row_group(number).num_rows
        if groups and rows + more > ROWS_PER_BATCH:
            yield groups
            groups, rows = [], 0
        groups.append(number)
        rows += more
    if groups:
        yield groups


def partitions_to_shuffle(source: Published, asked: int | None = None) -> int | None:
    """Into how many partitions patients must be shuffled; None where each file holds whole patients."""
    if asked is None and not has_whole_patients(source.manifest):
        return num_partitions_for(source.manifest.num_rows)
    return asked


def frame_of_patients(
    spark: SparkSession,
    source: Published,
    num_partitions: int | None,
    columns: tuple[str, ...] = DIAGNOSES.column_names,
) -> tuple[DataFrame, PatientRows]:
    """Published diagnoses. num_partitions: of partitions_to_shuffle.

    Raises ContractError for a missing column: here, or where the files are read.
    """
    if num_partitions is None:
        root = Folder(spark, source.uri).qualified
        paths = tuple(join(root, file.path) for file in source.manifest.files)
        return spark.range(0, len(paths), 1, len(paths)).toDF("file"), PatientRows(source.uri, paths, columns)
    rows = read_table(spark, source, DIAGNOSES).select(*columns)
    shuffled = rows.repartition(num_partitions, PATIENT_ID).sortWithinPartitions(PATIENT_ID)
    return shuffled, PatientRows(source.uri, columns=columns)
