"""The patients' splits as a table, for a program that has no XXH64 with Spark's seed.

python -m benchmarks.preprocess.splits CLAIMS SALT OUTPUT
"""

from __future__ import annotations

import sys

from spark_jobs.session import open_session
from spark_jobs.transforms.splits import split_of


def main() -> None:
    claims, salt, output = sys.argv[1:]
    spark = open_session("splits")
    patients = spark.read.parquet(claims).select("patient_id").distinct()
    patients.withColumn("split", split_of(salt)).coalesce(1).write.mode("overwrite").parquet(output)
    spark.stop()


if __name__ == "__main__":
    main()
