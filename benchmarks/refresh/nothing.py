"""A program that does nothing: the start of a session, and of a Python worker on each core."""

from __future__ import annotations

from spark_jobs.session import open_session


def main() -> None:
    spark = open_session("medbert-lake nothing")
    cores = spark.sparkContext.defaultParallelism
    spark.range(0, cores, 1, cores).mapInArrow(lambda batches: batches, "id bigint").toArrow()
    spark.stop()


if __name__ == "__main__":
    main()
