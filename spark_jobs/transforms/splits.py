"""Which side a patient is on: a pure function of the patient's id and one salt.

XXH64 (transforms.hashing) of `salt/patient_id`; the signed 64-bit result modulo 10 is 0 to 6 for train, 7 for
valid, 8 and 9 for test. So a patient never changes side when data are added.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.sequences import SPLIT_WEIGHTS
from spark_jobs.transforms.hashing import xxh64


def split_of(salt: str, patient_ids: pa.Array) -> npt.NDArray[np.int64]:
    """(P,) number of each patient's split in schemas.sequences.SPLITS."""
    hashes = xxh64(pc.binary_join_element_wise(salt, patient_ids, "/"))
    *limits, tenths = accumulate(SPLIT_WEIGHTS)
    return np.searchsorted(limits, hashes % tenths, side="right")
