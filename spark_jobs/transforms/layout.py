"""Each patient's rows in one partition: the one shuffle of all rows in the chain.

Diagnoses are written so; counting codes and assembling sequences then work file by file.
"""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import ADMIT_DATE, CODE, DISCHARGE_DATE, ORDER_COLUMNS, PATIENT_ID, VISIT_ID

ROWS_PER_PARTITION = 250_000
SORTED_BY = (PATIENT_ID, DISCHARGE_DATE, *ORDER_COLUMNS, CODE, ADMIT_DATE, VISIT_ID)


def num_partitions_for(rows: int) -> int:
    """One for each 250,000 rows: it decides the files, so it does not depend on the cluster."""
    return max(1, math.ceil(rows / ROWS_PER_PARTITION))


def by_patient(rows: DataFrame, num_partitions: int, patient: str) -> DataFrame:
    """Partitions of whole patients, in order of patients. Rows without a patient ("") go anywhere."""
    nobody = F.col(patient) == ""
    # Many of them in one partition would make one long task.
    spread = F.when(nobody, F.xxhash64(*rows.columns)).otherwise(F.xxhash64(patient))
    return rows.repartition(num_partitions, spread).sortWithinPartitions(patient)
