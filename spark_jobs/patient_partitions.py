"""Published diagnoses by partition of patients, each a task's: the files that hold the rows of that very
partition, which the task reads itself, and the rows of all other files, which are sent to it.

A batch of diagnoses that grow is divided by the same hash, so where it has as many parts, they are the
partitions: of most rows none is moved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from schemas.batches import num_batches, num_partitions_of
from schemas.diagnoses import PATIENT_ID
from schemas.manifest import ManifestFile
from schemas.rules import check_diagnoses
from schemas.shards import part_number
from spark_jobs.files.diagnosis_files import KEYS, read_rows
from spark_jobs.files.listed_tables import ListedFile, listed_files
from spark_jobs.files.part_files import this_partition
from spark_jobs.files.publish import Published
from spark_jobs.grouping import groups_of, numbers_in, task_numbers
from spark_jobs.transforms.codes import numbers_of
from spark_jobs.transforms.layout import partitions_of_patients
from spark_jobs.transforms.scattering import PIECES_DDL, gather, scatter, shuffled
from spark_jobs.transforms.sorting import sorted_by

IS_NEW = "is_new"
_ROWS_PER_TASK = 500_000


@dataclass(frozen=True)
class DiagnosisFile:
    """One file. is_new: whether it is one of those that the caller calls new."""

    listed: ListedFile
    is_new: bool = False


@dataclass(frozen=True)
class Here:
    """A partition, in its task. sent: rows of other files, with IS_NEW, in no order; None for none."""

    files: tuple[DiagnosisFile, ...]
    sent: pa.RecordBatch | None


@dataclass(frozen=True)
class PatientPartitions:
    """What a task makes of its partition. files: of each partition; are_sent: whether there are others."""

    files: tuple[tuple[DiagnosisFile, ...], ...]
    are_sent: bool

    def here(self, partition: Iterator[pa.RecordBatch]) -> Here:
        # Read to its end in any case: Spark ends a worker that leaves some of its input, and the next one
        # imports everything again, which takes longer than a file does.
        batches = list(partition)
        sent = gather(iter(batches)) if self.are_sent else None
        return Here(self.files[this_partition()], sent)


def in_order_of_patients(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """All rows, sorted by patient; quick where they come in few runs that are."""
    rows = pa.concat_batches(batches)
    patients = rows[PATIENT_ID].dictionary_encode()
    ranks = pc.rank(patients.dictionary).to_numpy().astype(np.int64)
    return rows.take(pa.array(sorted_by(ranks[numbers_of(patients)])))


def patient_partitions(
    spark: SparkSession,
    source: Published,
    num_partitions: int | None,
    columns: Sequence[str],
    new_files: Collection[ManifestFile] = (),
) -> tuple[DataFrame, PatientPartitions]:
    """(partitions, what a task makes of one).

    num_partitions: None makes each file a partition, where files hold whole patients. columns: of rows that
    are sent. new_files: of the source.
    """
    manifest, new = source.manifest, set(new_files)
    found = {of.file: DiagnosisFile(of, of.file in new) for of in listed_files(spark, source)}
    if num_partitions is None:
        return task_numbers(spark, len(found)), PatientPartitions(
            tuple((file,) for file in found.values()), False
        )
    here: list[list[DiagnosisFile]] = [[] for _ in range(num_partitions)]
    others: list[tuple[DiagnosisFile, int]] = []
    for file in manifest.files:
        if num_batches(manifest) and num_partitions_of(manifest, file) == num_partitions:
            here[part_number(file.path)].append(found[file])
        else:
            others.append((found[file], file.rows))
    partitions = PatientPartitions(tuple(map(tuple, here)), bool(others))
    if not others:
        return task_numbers(spark, num_partitions), partitions
    names = tuple(dict.fromkeys((*KEYS, *columns)))
    return _sent(
        spark, list(groups_of(others, _ROWS_PER_TASK)), num_partitions, names, source.uri
    ), partitions


def _sent(
    spark: SparkSession,
    tasks: Sequence[Sequence[DiagnosisFile]],
    num_partitions: int,
    columns: Sequence[str],
    where: str,
) -> DataFrame:
    """Pieces of the files' rows, with IS_NEW, where their partitions are."""

    def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for file in (file for number in numbers_in(numbers) for file in tasks[number]):
            for rows in read_rows(file.listed, columns):
                check_diagnoses(rows, where)
                partitions = partitions_of_patients(rows[PATIENT_ID], num_partitions)
                is_new = pa.repeat(file.is_new, rows.num_rows)
                yield from scatter(rows.append_column(IS_NEW, is_new), partitions)

    return shuffled(task_numbers(spark, len(tasks)).mapInArrow(read, PIECES_DDL), num_partitions)
