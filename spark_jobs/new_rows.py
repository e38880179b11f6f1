"""Diagnoses that grew: the rows that were there before, and those that came since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.diagnoses import DIAGNOSES
from schemas.manifest import ManifestFile
from spark_jobs.publish import Published, read_table

IS_NEW = "is_new"


def seen_and_new_rows(
    spark: SparkSession, source: Published, new_files: Sequence[ManifestFile]
) -> tuple[DataFrame, DataFrame]:
    """(rows of the older files, rows of new_files), with IS_NEW. new_files: some of the source's."""
    new = set(new_files)
    seen_files = tuple(file for file in source.manifest.files if file not in new)

    def rows(files: Sequence[ManifestFile], is_new: bool) -> DataFrame:
        part = Published(source.uri, replace(source.manifest, files=tuple(files)))
        return read_table(spark, part, DIAGNOSES).withColumn(IS_NEW, F.lit(is_new))

    return rows(seen_files, False), rows(new_files, True)
