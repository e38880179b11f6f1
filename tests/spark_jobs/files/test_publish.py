import os

import pytest
from pyspark.sql import functions as F

from schemas.errors import ContractError, NotPublished
from schemas.manifest import Manifest, read_manifest
from schemas.table import Column, TableSchema
from spark_jobs.files.clearing import UNFINISHED
from spark_jobs.files.listed_tables import read_table
from spark_jobs.files.publish import publish, read_published, start_output, write_parquet
from spark_jobs.files.storage import Folder
from spark_jobs.worker_errors import errors_of_workers

pytestmark = pytest.mark.spark

TABLE = TableSchema("numbers", (Column("number", "bigint"),))


def _numbers(spark, partitions=3):
    return spark.range(0, 30, numPartitions=partitions).withColumnRenamed("id", "number")


def _write(spark, uri, partitions=3):
    folder = start_output(spark, uri)
    files = write_parquet(_numbers(spark, partitions), folder)
    publish(folder, Manifest("numbers", files=tuple(files)))


def _all_files(path):
    return sorted(
        os.path.relpath(os.path.join(at, name), path) for at, _, names in os.walk(path) for name in names
    )


def test_stable_names_true_sizes_and_nothing_else(spark, tmp_path):
    uri = str(tmp_path / "a folder with blanks")
    _write(spark, uri)
    manifest = read_manifest(uri, "numbers", verify=True)  # through fsspec, by other code
    assert [(file.path, file.rows) for file in manifest.files] == [
        (f"part-0000{n}.parquet", 10) for n in range(3)
    ]
    assert _all_files(uri) == ["manifest.json", *(file.path for file in manifest.files)]
    published = read_published(spark, uri, "numbers")
    assert published.manifest == manifest
    assert read_table(spark, published, TABLE).count() == 30


def test_uris_with_and_without_a_scheme(spark, tmp_path):
    _write(spark, f"file://{tmp_path}/x")
    assert read_published(spark, str(tmp_path / "x"), "numbers").manifest.num_rows == 30
    assert read_manifest(f"file://{tmp_path}/x", "numbers").num_rows == 30


def test_a_smaller_second_run_leaves_nothing_of_the_first(spark, tmp_path):
    uri = str(tmp_path)
    (tmp_path / "notes.txt").write_text("the user's own")
    _write(spark, uri, partitions=3)
    _write(spark, uri, partitions=2)
    assert _all_files(uri) == ["manifest.json", "notes.txt", "part-00000.parquet", "part-00001.parquet"]


def test_a_job_that_fails_while_it_writes_leaves_no_manifest_and_the_next_run_mends_it(spark, tmp_path):
    uri = str(tmp_path / "x")
    _write(spark, uri)
    folder = start_output(spark, uri)
    failing = _numbers(spark).withColumn(
        "number", F.when(F.col("number") == 29, F.raise_error(F.lit("full disk")))
    )
    with pytest.raises(Exception, match="full disk"):
        write_parquet(failing, folder)
    with pytest.raises(NotPublished):
        read_published(spark, uri, "numbers")
    with pytest.raises(NotPublished):
        read_manifest(uri, "numbers")
    _write(spark, uri)
    assert read_manifest(uri, "numbers", verify=True).num_rows == 30
    assert not (tmp_path / "x" / "_writing").exists()


def test_damage_is_refused(spark, tmp_path):
    _write(spark, str(tmp_path))
    (tmp_path / "part-00001.parquet").write_bytes(b"short")
    with pytest.raises(ContractError, match="has 5 bytes, not"):
        read_published(spark, str(tmp_path), "numbers")
    (tmp_path / "part-00001.parquet").unlink()
    with pytest.raises(ContractError, match="missing"):
        read_published(spark, str(tmp_path), "numbers")


def test_stray_files_are_not_read_and_a_missing_column_is_named(spark, tmp_path):
    _write(spark, str(tmp_path))
    (tmp_path / "part-00099.parquet").write_bytes((tmp_path / "part-00000.parquet").read_bytes())
    published = read_published(spark, str(tmp_path), "numbers")
    assert read_table(spark, published, TABLE).count() == 30
    with pytest.raises(ContractError, match="has no column age"), errors_of_workers():
        read_table(spark, published, TableSchema("ages", (Column("age", "int"),))).collect()


def test_no_rows(spark, tmp_path):
    folder = start_output(spark, str(tmp_path))
    rows = _numbers(spark).where("false").withColumn("split", F.lit("a"))
    assert write_parquet(rows, folder, partition_by=["split"]) == []
    assert [entry.path for entry in Folder(spark, str(tmp_path)).files()] == [UNFINISHED]
