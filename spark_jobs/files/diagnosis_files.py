"""Files of diagnoses as Spark's Python workers read them, straight into Arrow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.diagnoses import CODE, DIAGNOSES, PATIENT_ID
from spark_jobs.files.listed_tables import ListedFile
from spark_jobs.grouping import groups_of
from spark_jobs.transforms.codes import numbers_of

# What a task looks at once: NumPy's cost is per batch, and so is that of a batch's distinct codes.
ROWS_PER_BATCH = 1_000_000
KEYS = (PATIENT_ID, CODE)

# (N,) whether each row is wanted, of a batch of KEYS, both of them dictionaries.
Wanted = Callable[[pa.RecordBatch], npt.NDArray[np.bool_]]


def read_rows(
    file: ListedFile, columns: Sequence[str], dictionaries: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """All rows, as many row groups together as ROWS_PER_BATCH allows.

    dictionaries: the columns to read as such. Raises ContractError.
    """
    with file.open(read_dictionary=list(dictionaries)) as parquet:
        DIAGNOSES.check_arrow(parquet.schema_arrow, file.path)
        numbers = range(parquet.num_row_groups)
        sizes = ((number, parquet.metadata.row_group(number).num_rows) for number in numbers)
        for groups in groups_of(sizes, ROWS_PER_BATCH):
            yield _batch(parquet.read_row_groups(groups, list(columns), use_threads=False))


def read_wanted(file: ListedFile, columns: Sequence[str], wanted: Wanted) -> Iterator[pa.RecordBatch]:
    """The rows that are wanted, plain. Of a row group without any, KEYS alone are decoded.

    Raises ContractError.
    """
    further = [name for name in columns if name not in KEYS]
    with file.open(read_dictionary=list(KEYS)) as parquet:
        DIAGNOSES.check_arrow(parquet.schema_arrow, file.path)
        for group in range(parquet.num_row_groups):
            rows = _batch(parquet.read_row_group(group, list(KEYS), use_threads=False))
            (chosen,) = wanted(rows).nonzero()
            if not len(chosen):
                continue
            if further:
                rest = _batch(parquet.read_row_group(group, further, use_threads=False))
                for name in further:
                    rows = rows.append_column(name, rest[name])
            rows = rows.select(list(columns)).take(pa.array(chosen))
            yield rows.cast(pa.schema([DIAGNOSES.arrow.field(name) for name in columns]))


def are_in(column: pa.DictionaryArray, values: Collection[str]) -> npt.NDArray[np.bool_]:
    """(N,) whether each value is among `values`, a set; null is not."""
    found = np.array([*(value in values for value in column.dictionary.to_pylist()), False])
    return found[numbers_of(column)]


def _batch(rows: pa.Table) -> pa.RecordBatch:
    (batch,) = rows.unify_dictionaries().combine_chunks().to_batches() or [
        pa.RecordBatch.from_pylist([], rows.schema)
    ]
    return batch
