"""A source's rows, to be brought to the partitions of their patients: from a DataFrame, or from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.grouping import numbers_in, task_numbers
from spark_jobs.sources.parquet_files import ParquetFiles
from spark_jobs.transforms.diagnoses import PATIENT, VISIT
from spark_jobs.transforms.layout import by_patient, partitions_of
from spark_jobs.transforms.scattering import PIECES_DDL, gather, scatter, shuffled
from spark_jobs.transforms.subset import HASH, HASH_DDL, Subset, hashes_of_rows, subset_hash
from spark_jobs.transforms.visits import whole_patients

# A task looks at its whole partition at once, up to so many rows.
MOST_ROWS = 1_000_000

TakePatients = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class RawRows(Protocol):
    """Rows with the columns of transforms.diagnoses, wherever they are."""

    def by_patient(self, num_partitions: int, subset: Subset | None = None) -> tuple[DataFrame, TakePatients]:
        """(partitions of whole patients, what a task makes of one: batches of whole patients)."""
        ...

    def subset_hashes(self) -> DataFrame:
        """transforms.subset.HASH of each row that has a patient."""
        ...


@dataclass(frozen=True)
class FrameRows:
    """Rows of a DataFrame."""

    frame: DataFrame

    def by_patient(self, num_partitions: int, subset: Subset | None = None) -> tuple[DataFrame, TakePatients]:
        rows = self.frame.where(subset.has_row(F.col(PATIENT))) if subset else self.frame
        together = by_patient(rows, num_partitions, PATIENT, VISIT)
        return together, partial(whole_patients, patient=PATIENT)

    def subset_hashes(self) -> DataFrame:
        patient = F.col(PATIENT)
        return self.frame.where(patient != "").select(subset_hash(patient).alias(HASH))


class Meaning(Protocol):
    """What rows of a file say, on Arrow."""

    @property
    def id_columns(self) -> list[str]:
        """The columns that patients_and_visits looks at."""
        ...

    def patients_and_visits(self, rows: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """((N,) ids, "" for none; (N,) ids, null for none)."""
        ...

    def said(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """With the columns of transforms.diagnoses."""
        ...


@dataclass(frozen=True)
class FileRows:
    """Rows that workers read themselves."""

    spark: SparkSession
    files: ParquetFiles
    meaning: Meaning

    def by_patient(self, num_partitions: int, subset: Subset | None = None) -> tuple[DataFrame, TakePatients]:
        files, meaning = self.files, self.meaning

        def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number in numbers_in(numbers):
                for rows in files.read(number):
                    patients, visits = meaning.patients_and_visits(rows)
                    of_rows = partitions_of(patients, visits, num_partitions)
                    if subset:
                        chosen = subset.has(patients)
                        rows, of_rows = rows.filter(pa.array(chosen)), of_rows[chosen]
                    yield from scatter(rows, of_rows)

        pieces = task_numbers(self.spark, len(files.tasks)).mapInArrow(read, PIECES_DDL)
        return shuffled(pieces, num_partitions), partial(_patients_in, said=meaning.said)

    def subset_hashes(self) -> DataFrame:
        files, meaning = self.files.only(self.meaning.id_columns), self.meaning

        def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number in numbers_in(numbers):
                for rows in files.read(number):
                    yield hashes_of_rows(meaning.patients_and_visits(rows)[0])

        return task_numbers(self.spark, len(files.tasks)).mapInArrow(read, HASH_DDL)


def _patients_in(
    pieces: Iterator[pa.RecordBatch], said: Callable[[pa.RecordBatch], pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """A partition of pieces as batches of whole patients, which say what they mean."""
    found = gather(pieces)
    if found is None:
        return
    rows = said(found)
    if rows.num_rows <= MOST_ROWS:
        yield rows
        return
    rows = rows.sort_by(PATIENT)
    parts = (rows.slice(start, MOST_ROWS) for start in range(0, rows.num_rows, MOST_ROWS))
    yield from whole_patients(parts, PATIENT)
