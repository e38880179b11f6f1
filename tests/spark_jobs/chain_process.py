"""The jobs from ingest to shards, in a process of its own: `chain_process.py <cores> <raw data> <run>`.

cores: of Spark's local master, and the number of its shuffle and least number of its input partitions.
"""

import sys

from pyspark.sql import SparkSession

from spark_jobs import write_shards
from spark_jobs.session import SETTINGS
from tests.spark_jobs.conftest import TEST_SETTINGS
from tests.spark_jobs.pipeline import Run


def main(cores: str, raw: str, root: str) -> None:
    partitions = (
        "spark.sql.shuffle.partitions",
        "spark.default.parallelism",
        "spark.sql.files.minPartitionNum",
    )
    builder = SparkSession.builder.master(f"local[{cores}]")
    settings = SETTINGS | TEST_SETTINGS | dict.fromkeys(partitions, cores) | {"spark.driver.memory": "1g"}
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    run = Run(spark, root)
    run.ingest("medbert", raw)
    run.vocabulary(min_patients=2)
    run.sequences(min_codes=2, num_partitions=3)
    write_shards.main(
        spark,
        write_shards.WriteShards(
            run.path("sequences"), run.path("vocabulary"), run.path("shards"), rows_per_shard=20, min_shards=2
        ),
    )
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
