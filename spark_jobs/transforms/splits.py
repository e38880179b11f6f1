"""Which side a patient is on: a pure function of the patient's id and one salt.

XXH64, seed 42 (Spark's own), over the UTF-8 bytes of `salt/patient_id`; the signed 64-bit result modulo 10 is
0 to 6 for train, 7 for valid, 8 and 9 for test. So a patient never changes side when data are added.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.sequences import SPLIT_WEIGHTS, SPLITS


def stable_hash(key: str, patient_id: str) -> Column:
    """A 64-bit signed number that mixes `key` and the column `patient_id`."""
    return F.xxhash64(F.concat(F.lit(f"{key}/"), F.col(patient_id)))


def split_of(salt: str, patient_id: str = "patient_id") -> Column:
    """train, valid or test."""
    place = F.pmod(stable_hash(salt, patient_id), F.lit(sum(SPLIT_WEIGHTS)))
    result, upper = F.lit(SPLITS[-1]), sum(SPLIT_WEIGHTS)
    for name, weight in reversed(list(zip(SPLITS, SPLIT_WEIGHTS, strict=True))[1:]):
        upper -= weight
        result = F.when(place >= upper, F.lit(name)).otherwise(result) if name != SPLITS[-1] else result
    return F.when(place < upper, F.lit(SPLITS[0])).otherwise(result)
