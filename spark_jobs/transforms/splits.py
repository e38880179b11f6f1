"""Which side a patient is on: a pure function of the patient's id and one salt.

XXH64, seed 42 (Spark's own), over the UTF-8 bytes of `salt/patient_id`; the signed 64-bit result modulo 10 is
0 to 6 for train, 7 for valid, 8 and 9 for test. So a patient never changes side when data are added.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from schemas.sequences import SPLIT_WEIGHTS

SEED = 42


def split_of(salt: str, patient_ids: pa.Array) -> npt.NDArray[np.int64]:
    """(P,) number of each patient's split in schemas.sequences.SPLITS."""
    texts = (f"{salt}/{patient}".encode() for patient in patient_ids.to_pylist())
    hashes = (xxhash.xxh64_intdigest(text, SEED) for text in texts)
    place = np.fromiter(hashes, np.uint64, len(patient_ids)).view(np.int64)
    *limits, tenths = accumulate(SPLIT_WEIGHTS)
    return np.searchsorted(limits, place % tenths, side="right")
