"""One Spark session for all tests of spark_jobs, opened by the first that asks for it."""

import os
import sys

import pytest

TEST_SETTINGS = {
    "spark.driver.memory": "2g",
    # Tests' data are tiny: every shuffle partition is a task to start for nothing.
    "spark.sql.shuffle.partitions": "3",
    "spark.default.parallelism": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Does not ask the network for the machine's name.
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


@pytest.fixture(scope="session")
def spark():
    from pyspark.sql import SparkSession

    from spark_jobs.session import SETTINGS

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in (SETTINGS | TEST_SETTINGS).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def run(spark, tmp_path):
    """An empty run folder with its stages."""
    from tests.spark_jobs.pipeline import Run

    return Run(spark, str(tmp_path / "run"))
