"""Each patient's rows in one partition: the one shuffle of all rows in the chain.

Diagnoses are written so; counting codes and assembling sequences then work file by file. Rows come as a
DataFrame, or straight from files (transforms.scattering); a patient's partition is the same for both.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import ADMIT_DATE, CODE, DISCHARGE_DATE, ORDER_COLUMNS, PATIENT_ID, VISIT_ID
from spark_jobs.transforms.codes import numbers_of
from spark_jobs.transforms.hashing import xxh64

ROWS_PER_PARTITION = 250_000
SORTED_BY = (PATIENT_ID, DISCHARGE_DATE, *ORDER_COLUMNS, CODE, ADMIT_DATE, VISIT_ID)


def num_partitions_for(rows: int) -> int:
    """One for each 250,000 rows: it decides the files, so it does not depend on the cluster."""
    return max(1, math.ceil(rows / ROWS_PER_PARTITION))


def by_patient(rows: DataFrame, num_partitions: int, patient: str, visit: str) -> DataFrame:
    """Partitions of whole patients, in order of patients. Rows without a patient ("") go anywhere."""
    # Many of them in one partition would make one long task.
    other = F.col(visit) if visit in rows.columns else F.xxhash64(*rows.columns).cast("string")
    key = F.when(F.col(patient) == "", F.coalesce(other, F.lit(""))).otherwise(F.col(patient))
    partition = F.pmod(F.xxhash64(key), F.lit(num_partitions)).cast("int")
    return rows.repartitionById(num_partitions, partition).sortWithinPartitions(patient)


def partitions_of(patients: pa.Array, visits: pa.Array, num_partitions: int) -> npt.NDArray[np.int64]:
    """(N,) the partition of each row, as by_patient has it. visits count only for rows without a patient."""
    keys = pc.if_else(pc.equal(patients, ""), visits.fill_null(""), patients)
    return partitions_of_patients(keys, num_partitions)


def partitions_of_patients(patients: pa.Array, num_partitions: int) -> npt.NDArray[np.int64]:
    """(N,) the partition of each patient, none of them null."""
    distinct = patients.dictionary_encode()
    return (xxh64(distinct.dictionary) % num_partitions)[numbers_of(distinct)]
