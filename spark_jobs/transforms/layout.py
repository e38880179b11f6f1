"""Each patient's diagnoses in one partition, in order: the one shuffle of all rows in the chain.

Counting codes and assembling sequences then work file by file.
"""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import CODE, DISCHARGE_DATE, ORDER_COLUMNS, PATIENT_ID

ROWS_PER_PARTITION = 500_000
SORTED_BY = (PATIENT_ID, DISCHARGE_DATE, *ORDER_COLUMNS, CODE)


def num_partitions_for(rows: int) -> int:
    """One for each 500,000 rows: it decides the files, so it does not depend on the cluster."""
    return max(1, math.ceil(rows / ROWS_PER_PARTITION))


def by_patient(diagnoses: DataFrame, num_partitions: int) -> DataFrame:
    """Partitions of whole patients, sorted by SORTED_BY, nulls last."""
    together = diagnoses.repartition(num_partitions, PATIENT_ID)
    return together.sortWithinPartitions(*(F.col(name).asc_nulls_last() for name in SORTED_BY))
