"""The Spark session of a job. Only an entry-point opens one: sources and transforms are handed theirs."""

from __future__ import annotations

import os
import sys

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

# What decides the bytes of the output, and little else: memory, cores and partitions are the user's, through
# spark-submit.
SETTINGS = {
    # Dates have no time zone; nothing may shift by the machine's.
    "spark.sql.session.timeZone": "UTC",
    # Overflow and bad casts raise. Where a bad value is expected, the code says so with try_cast.
    "spark.sql.ansi.enabled": "true",
    # Nanoseconds in Parquet, as pandas writes them: Spark reads them so, or not (sources.parquet_tables).
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Text in any encoding that Java knows; Spark alone takes seven, windows-1252 not among them.
    "spark.sql.legacy.javaCharsets": "true",
    # Joins small enough are broadcast and small shuffle partitions merged at run time. The result does not
    # depend on it: partitions whose number is part of the contract are asked for by number, and those it
    # leaves alone.
    "spark.sql.adaptive.enabled": "true",
    # A shuffle without a row would otherwise empty the plan, and the counters in it would never report.
    "spark.sql.adaptive.optimizer.excludedRules": (
        "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation"
    ),
    # No .crc file beside every local file: the manifest has SHA-256 sums. (spark-submit has used local files
    # before these settings are read, and what it left in the cache would write them.)
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.hadoop.fs.file.impl.disable.cache": "true",
    # Parquet of any origin that has checksums of its pages is read by them.
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    # NumPy's cost is per batch: a batch of the default 10,000 rows has only some 400 patients.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
}


_LOOPBACK = "127.0.0.1"
_ADDRESSES = ("spark.driver.bindAddress", "spark.driver.host")


def _loopback(conf: SparkConf) -> dict[str, str]:
    """With a master on this machine nobody else need reach Spark's ports, where the user names no address.

    conf: what spark-submit was given.
    """
    master = conf.get("spark.master", os.environ.get("MASTER", "local"))
    given = any(conf.contains(name) for name in _ADDRESSES) or "SPARK_LOCAL_IP" in os.environ
    return {} if given or not master.startswith("local") else dict.fromkeys(_ADDRESSES, _LOOPBACK)


def open_session(app_name: str) -> SparkSession:
    """The session of this process, under spark-submit or plain Python (then with Spark's own defaults)."""
    # Workers run the driver's Python, unless PYSPARK_PYTHON or spark.pyspark.python says otherwise.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app_name)
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    # What spark-submit was given is known to its JVM alone.
    SparkContext._ensure_initialized()
    for name, value in _loopback(SparkConf()).items():
        builder = builder.config(name, value)
    # The bar redraws its line, which only a terminal can show: a log file would fill with it.
    builder = builder.config("spark.ui.showConsoleProgress", sys.stderr.isatty())
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    return session
