"""kill -9 of an executor while a stage reads the shuffle that it holds a part of: the result is the same.

The moment is not left to chance. The driver's REST API names a stage that has read from a shuffle, and a task
of it on the victim. The victim is frozen; only if that task still runs then, it is killed. Spark's event log
says afterwards that the executor was lost, and that map tasks were run again for what was lost with it.
"""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cluster.standalone import free_port, read_json
from tests.spark_jobs.stages import OUTPUTS, command_lines, manifests, strays
from tests.spark_submit import HOST, kill_all
from tests.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

# The UI answers the REST API; both executors are there before the first task, and share the input.
SETTINGS = {
    "spark.ui.enabled": "true",
    "spark.ui.liveUpdate.period": "0",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
    # As between machines: what an executor has written is read from it, and gone with it.
    "spark.shuffle.readHostLocalDisk": "false",
    "spark.shuffle.io.maxRetries": "1",
    "spark.shuffle.io.retryWait": "100ms",
}


@pytest.fixture
def disturbed(cluster, new_run, local_run, tmp_path):
    """disturbed(job, *inputs, options=()): the run whose job has lost an executor in mid-shuffle."""

    def run_it(job, *inputs, options=()):
        port = free_port()
        own = {"spark.ui.port": str(port), "spark.eventLog.dir": f"file:{tmp_path}"}
        run = new_run(local_run, *inputs, master=cluster.url, settings=SETTINGS | own)
        process = run.start(f"spark_jobs/{job}.py", *command_lines()[job], *options)
        try:
            victim = kill_an_executor(run, process, cluster, f"http://{HOST}:{port}/api/v1/applications")
            run.finish(process)
        finally:
            kill_all(process)
        events = read_events(tmp_path)
        assert lost_executors(events) == [victim]
        assert any(event["Stage Info"]["Stage Attempt ID"] for event in of_kind(events, "StageSubmitted"))
        assert strays(run.folder, OUTPUTS[job]) == []
        return run

    return run_it


def kill_an_executor(run, process, cluster, applications):
    """The id of the executor that was killed while a task on it was reading a shuffle."""

    def reading():
        """(stage's address, executor id, task id) of a task that runs in a stage that reads a shuffle, on an
        executor that holds a part of one: one of them may have run all tasks that wrote it."""
        assert process.poll() is None, f"it ended before: {run.last_words()}"
        for application in read_json(applications) or ():
            executors = read_json(f"{applications}/{application['id']}/executors") or ()
            holders = {one["id"] for one in executors if one["totalShuffleWrite"]}
            stages = f"{applications}/{application['id']}/stages"
            for stage in read_json(f"{stages}?status=active") or ():
                if stage["shuffleReadRecords"]:
                    at = f"{stages}/{stage['stageId']}/{stage['attemptId']}/taskList?status=running"
                    for task in read_json(at) or ():
                        if task["executorId"] in holders:
                            return at, task["executorId"], task["taskId"]
        return None

    def killed():
        at, victim, task_id = wait_for(reading, "a task that reads a shuffle")
        executor = cluster.executors()[victim]
        executor.suspend()
        if any(task["taskId"] == task_id for task in read_json(at) or ()):
            executor.kill()
            return victim
        executor.resume()
        return None

    return wait_for(killed, "a task that still ran when its executor was stopped")


def read_events(folder):
    """Spark's event log: the one file in the folder, a line of JSON an event."""
    (log,) = os.listdir(folder)
    with open(folder / log) as stream:
        return [json.loads(line) for line in stream]


def of_kind(events, kind):
    return [event for event in events if event["Event"] == f"SparkListener{kind}"]


def lost_executors(events):
    """Ids of those that ended with 137, which is kill -9."""
    removed = of_kind(events, "ExecutorRemoved")
    return [event["Executor ID"] for event in removed if "137" in event["Removed Reason"]]


def sequences_by_split(run):
    """Split's folder → its table, sorted by patient, in however many files it lies."""
    root = f"{run.folder}/sequences"
    files = [file.path for file in manifests(run.folder, "build_sequences")["sequences"].files]
    folders = {path.partition("/")[0] for path in files}
    tables = {path: pq.ParquetFile(f"{root}/{path}").read() for path in files}
    return {
        folder: pa.concat_tables(table for path, table in tables.items() if path.startswith(folder)).sort_by(
            "patient_id"
        )
        for folder in folders
    }


def test_ingest(disturbed, local_run):
    run = disturbed("ingest_claims", "claims")
    assert manifests(run.folder, "ingest_claims") == manifests(local_run.folder, "ingest_claims")


def test_sequences(disturbed, local_run):
    # Told to shuffle patients, though ingest has: the files are others, the rows are the same.
    run = disturbed("build_sequences", "diagnoses", "vocabulary", options=("--num_partitions", "12"))
    assert sum(table.num_rows for table in sequences_by_split(run).values()) > 200
    assert sequences_by_split(run) == sequences_by_split(local_run)
    here, there = (manifests(of.folder, "build_sequences")["sequences"] for of in (local_run, run))
    assert (here.counts, here.inputs) == (there.counts, there.inputs)


def test_shards(disturbed, local_run):
    run = disturbed("write_shards", "sequences", "vocabulary")
    assert manifests(run.folder, "write_shards") == manifests(local_run.folder, "write_shards")
