"""Which side a patient is on: a pure function of the patient's id and one salt.

XXH64, seed 42 (Spark's own), over the UTF-8 bytes of `salt/patient_id`; the signed 64-bit result modulo 10 is
0 to 6 for train, 7 for valid, 8 and 9 for test. So a patient never changes side when data are added.
"""

from __future__ import annotations

from itertools import accumulate

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.sequences import SPLIT_WEIGHTS, SPLITS


def stable_hash(key: str, patient_id: str) -> Column:
    """A 64-bit signed number that mixes `key` and the column `patient_id`."""
    return F.xxhash64(F.concat(F.lit(f"{key}/"), F.col(patient_id)))


def split_of(salt: str, patient_id: str = "patient_id") -> Column:
    """train, valid or test."""
    below_train, below_valid, tenths = accumulate(SPLIT_WEIGHTS)
    place = F.pmod(stable_hash(salt, patient_id), F.lit(tenths))
    train, valid, test = SPLITS
    return F.when(place < below_train, train).when(place < below_valid, valid).otherwise(test)
