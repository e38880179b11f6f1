"""Diagnoses, each patient's rows together and in a task's hands: straight from the files where these hold
whole patients; what lies in other files is brought there (patient_partitions).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from schemas.batches import first_num_partitions, num_batches
from schemas.diagnoses import CODE, DIAGNOSES
from schemas.layout import has_whole_patients
from schemas.rules import check_diagnoses
from spark_jobs.files.diagnosis_files import ROWS_PER_BATCH, read_rows
from spark_jobs.files.publish import Published
from spark_jobs.patient_partitions import (
    PatientPartitions,
    in_order_of_patients,
    patient_partitions,
)
from spark_jobs.transforms.layout import num_partitions_for
from spark_jobs.transforms.visits import whole_patients


@dataclass(frozen=True)
class PatientRows:
    """What a task makes of a partition of frame_of_patients: diagnoses, whole patients, in order of patients.

    where: for messages. partitions: None where the frame's partitions hold the rows as they are. columns:
    what is read of files.
    """

    where: str
    partitions: PatientPartitions | None = None
    columns: tuple[str, ...] = DIAGNOSES.column_names

    def batches(self, partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in whole_patients(self._read(partition) if self.partitions else partition):
            check_diagnoses(rows, self.where)
            yield rows

    def _read(self, partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        here = self.partitions.here(partition)
        if here.sent is None and len(here.files) == 1:
            yield from read_rows(here.files[0].listed, self.columns, (CODE,))
            return
        rows = [batch for file in here.files for batch in read_rows(file.listed, self.columns)]
        if here.sent is not None:
            rows.append(here.sent.select(list(self.columns)))
        if rows:
            rows = in_order_of_patients(rows)
            yield from (rows.slice(start, ROWS_PER_BATCH) for start in range(0, len(rows), ROWS_PER_BATCH))


def partitions_to_shuffle(source: Published, asked: int | None = None) -> int | None:
    """Into how many partitions patients are to be divided; None where each file holds whole patients."""
    if asked is not None or has_whole_patients(source.manifest):
        return asked
    if num_batches(source.manifest):
        return first_num_partitions(source.manifest)
    return num_partitions_for(source.manifest.num_rows)


def frame_of_patients(
    spark: SparkSession,
    source: Published,
    num_partitions: int | None,
    columns: tuple[str, ...] = DIAGNOSES.column_names,
) -> tuple[DataFrame, PatientRows]:
    """Published diagnoses. num_partitions: of partitions_to_shuffle."""
    frame, partitions = patient_partitions(spark, source, num_partitions, columns)
    return frame, PatientRows(source.uri, partitions, columns)
