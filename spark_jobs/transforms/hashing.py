"""The hash that decides who is where: XXH64 over the UTF-8 bytes of a text, with Spark's own seed.

In Spark it is `xxhash64(column)`, of one text column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

SEED = 42


def xxh64(texts: pa.Array) -> npt.NDArray[np.int64]:
    """(N,) of texts without nulls, as signed numbers."""
    hashes = (xxhash.xxh64_intdigest(text, SEED) for text in texts.cast(pa.binary()).to_pylist())
    return np.fromiter(hashes, np.uint64, len(texts)).view(np.int64)
