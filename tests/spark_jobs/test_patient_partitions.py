"""What a task finds in its partition, and that it leaves its worker to the next task."""

import os

import pyarrow as pa
import pytest

from spark_jobs.grouping import task_numbers
from spark_jobs.patient_partitions import DiagnosisFile, PatientPartitions

pytestmark = pytest.mark.spark


def test_tasks_that_read_files_share_their_workers(spark):
    cores = spark.sparkContext.defaultParallelism
    files = tuple((DiagnosisFile(f"file {number}"),) for number in range(20 * cores))
    partitions = PatientPartitions(files, are_sent=False)

    def look(batches):
        here = partitions.here(batches)
        assert here.sent is None
        yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "file": [here.files[0].uri]})

    found = task_numbers(spark, len(files)).mapInArrow(look, "pid long, file string").collect()
    assert [row.file for row in found] == [f"file {number}" for number in range(len(files))]
    # Workers that other jobs have left idle take their turn. One that is ended would have one task.
    assert len({row.pid for row in found}) <= len(files) / 4
