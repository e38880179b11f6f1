"""The patients' splits as a table, for a program that has no XXH64 with Spark's seed.

python -m benchmarks.preprocess.splits CLAIMS SALT OUTPUT
"""

from __future__ import annotations

import os
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from schemas.sequences import SPLITS
from spark_jobs.transforms.splits import split_of


def main() -> None:
    claims, salt, output = sys.argv[1:]
    table = ds.dataset(claims, format="parquet").to_table(columns=["patient_id"])
    patients = table["patient_id"].unique()
    splits = pa.array(SPLITS).take(pa.array(split_of(salt, patients)))
    os.makedirs(output, exist_ok=True)
    pq.write_table(pa.table({"patient_id": patients, "split": splits}), f"{output}/part-00000.parquet")


if __name__ == "__main__":
    main()
