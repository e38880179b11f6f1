"""What a task finds in its partition, and that it leaves its worker to the next task."""

import os

import pyarrow as pa
import pytest

from schemas.manifest import ManifestFile
from spark_jobs.files.listed_tables import ListedFile
from spark_jobs.grouping import task_numbers
from spark_jobs.patient_partitions import DiagnosisFile, PatientPartitions

pytestmark = pytest.mark.spark


def test_tasks_that_read_files_share_their_workers(spark):
    cores = spark.sparkContext.defaultParallelism
    listed = (ListedFile("", "", ManifestFile(f"{number}", 1, 1, "")) for number in range(20 * cores))
    files = tuple((DiagnosisFile(file),) for file in listed)
    partitions = PatientPartitions(files, are_sent=False)

    def look(batches):
        here = partitions.here(batches)
        assert here.sent is None
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "file": [here.files[0].listed.file.path]})

    found = task_numbers(spark, len(files)).mapInArrow(look, "pid long, file string").collect()
    assert [row.file for row in found] == [f"{number}" for number in range(len(files))]
    # Workers that other jobs have left idle take their turn. One that is ended would have one task.
    assert len({row.pid for row in found}) <= len(files) / 4
