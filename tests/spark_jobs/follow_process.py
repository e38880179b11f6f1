"""Follows claims and is killed, JVM and all, at one moment: `follow_process.py <landing> <run> <moment>`."""

import os
import signal
import sys

from pyspark.sql import SparkSession

from spark_jobs.growth import growing
from spark_jobs.session import SETTINGS
from tests.spark_jobs.conftest import TEST_SETTINGS
from tests.spark_jobs.pipeline import Run


def main(landing: str, root: str, moment: str) -> None:
    builder = SparkSession.builder.master("local[1]")
    for name, value in (SETTINGS | TEST_SETTINGS | {"spark.driver.memory": "1g"}).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    def die(*_) -> None:
        os.kill(spark._jvm.java.lang.ProcessHandle.current().pid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    publish_over = growing.publish_over

    def publish_and_die(folder, manifest) -> None:
        is_marker = manifest.kind == "diagnoses"
        if is_marker and moment == "before the manifest":
            die()
        publish_over(folder, manifest)
        if is_marker:
            die()

    growing.publish_over = publish_and_die
    if moment == "while writing":
        growing.GrowingDiagnoses.add = die
    Run(spark, root).ingest("medbert", landing, follow="now", settle="0")


if __name__ == "__main__":
    main(*sys.argv[1:])
