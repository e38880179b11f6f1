"""Some of the patients, the same ones in every run: those of the smallest hash.

XXH64 (transforms.hashing) of `subset of patients, ` and the patient's id, as a signed number. A patient's
split (`salt/id`) and partition (the id alone) are hashes of other texts, so the subset has its share of each.
The smaller of two subsets of one input is within the larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.transforms.codes import numbers_of
from spark_jobs.transforms.hashing import xxh64

SALT = "subset of patients, "
HASH = "__subset_hash"
HASH_DDL = f"{HASH} bigint"
_BUCKET_BITS = 16


@dataclass(frozen=True)
class Subset:
    """most: the largest hash of a patient within. rows_left_out: rows of all other patients."""

    most: int
    rows_left_out: int

    def has(self, patients: pa.Array) -> npt.NDArray[np.bool_]:
        """(N,) whether each patient is within; rows without a patient ("") always are."""
        distinct = patients.dictionary_encode()
        chosen = (subset_hashes(distinct.dictionary) <= self.most) | _is_none(distinct.dictionary)
        return chosen[numbers_of(distinct)]

    def has_row(self, patient: Column) -> Column:
        """As has, in Spark."""
        return (subset_hash(patient) <= self.most) | (patient == "")


def subset_hash(patient: Column) -> Column:
    return F.xxhash64(F.concat(F.lit(SALT), patient))


def subset_hashes(patients: pa.Array) -> npt.NDArray[np.int64]:
    """(N,) as subset_hash, of ids without nulls."""
    return xxh64(pc.binary_join_element_wise(SALT, patients, ""))


def hashes_of_rows(patients: pa.Array) -> pa.RecordBatch:
    """HASH of each row that has a patient."""
    distinct = patients.dictionary_encode()
    hashes = subset_hashes(distinct.dictionary)[numbers_of(distinct)]
    return pa.RecordBatch.from_pydict({HASH: hashes[~_is_none(patients)]})


def find_subset(hashes: DataFrame, most_patients: int) -> Subset:
    """The subset of that many patients, of all where there are fewer. hashes: HASH of each row.

    The driver never lists all patients: hashes are counted in 65,536 ranges of equal width, and only those of
    the range with the last patient are listed.
    """
    by_patient = hashes.groupBy(HASH).agg(F.count("*").alias("rows"))
    bucket = F.shiftright(HASH, 64 - _BUCKET_BITS)
    by_patient = by_patient.withColumn("bucket", bucket).persist(StorageLevel.DISK_ONLY)
    try:
        counts = by_patient.groupBy("bucket").agg(F.count("*"), F.sum("rows")).orderBy("bucket").collect()
        buckets, patients, rows = np.array(counts, np.int64).reshape(-1, 3).T
        place = int(np.searchsorted(np.cumsum(patients), most_patients))
        if place == len(buckets):
            return Subset(np.iinfo(np.int64).max, 0)
        last = by_patient.where(F.col("bucket") == int(buckets[place])).orderBy(HASH)
        found = [(row[HASH], row["rows"]) for row in last.select(HASH, "rows").collect()]
    finally:
        by_patient.unpersist()
    kept = most_patients - int(patients[:place].sum())
    beyond = sum(number for _, number in found[kept:])
    return Subset(found[kept - 1][0], beyond + int(rows[place + 1 :].sum()))


def _is_none(patients: pa.Array) -> npt.NDArray[np.bool_]:
    return pc.equal(patients, "").to_numpy(zero_copy_only=False)
