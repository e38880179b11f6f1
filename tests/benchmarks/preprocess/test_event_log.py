"""Sums over a hand-written event log."""

import json
from typing import Any

from benchmarks.preprocess.event_log import read_event_log, summarise


def task(stage: int, shuffled: int, *, reason: str = "Success", heap: int = 0) -> dict[str, Any]:
    """A task's end: 10 rows of 100 bytes read, `shuffled` rows of 2 bytes written to a shuffle."""
    return {
        "Event": "SparkListenerTaskEnd",
        "Stage ID": stage,
        "Task End Reason": {"Reason": reason},
        "Task Executor Metrics": {"JVMHeapMemory": heap},
        "Task Metrics": {
            "Executor Run Time": 2_000,
            "Executor CPU Time": 1_500_000_000,
            "JVM GC Time": 500,
            "Disk Bytes Spilled": 7,
            "Input Metrics": {"Records Read": 10, "Bytes Read": 1_000},
            "Output Metrics": {"Bytes Written": 30},
            "Shuffle Read Metrics": {"Local Bytes Read": 3, "Remote Bytes Read": 4},
            "Shuffle Write Metrics": {
                "Shuffle Records Written": shuffled,
                "Shuffle Bytes Written": 2 * shuffled,
            },
        },
    }


EVENTS = [
    {"Event": "SparkListenerApplicationStart"},
    {"Event": "SparkListenerJobStart", "Submission Time": 10_000},
    task(0, 5, heap=100),
    task(0, 6),
    {"Event": "SparkListenerStageExecutorMetrics", "Executor Metrics": {"JVMHeapMemory": 300}},
    {"Event": "SparkListenerJobEnd", "Completion Time": 11_000},
    {"Event": "SparkListenerJobStart", "Submission Time": 11_500},
    task(1, 8, heap=200),
    task(1, 1_000, reason="ExceptionFailure", heap=900),
    {"Event": "SparkListenerJobEnd", "Completion Time": 13_000},
]


def test_tasks_that_succeeded_are_summed(tmp_path):
    metrics = summarise(EVENTS)
    assert metrics.jobs_s == 3.0
    assert (metrics.input_rows, metrics.input_bytes, metrics.output_bytes) == (30, 3_000, 90)
    assert (metrics.shuffle_write_rows, metrics.shuffle_write_bytes) == (19, 38)
    assert metrics.most_rows_shuffled == 11, "of one stage, its tasks together"
    assert (metrics.shuffle_read_bytes, metrics.spill_disk_bytes) == (21, 21)
    assert (metrics.task_s, metrics.task_cpu_s, metrics.gc_s) == (6.0, 4.5, 1.5)
    assert metrics.heap_peak == 300, "of executors and tasks that succeeded"
    (tmp_path / "local-1").write_text("\n".join(map(json.dumps, EVENTS)))
    assert read_event_log(str(tmp_path)) == metrics


def test_a_log_without_jobs_is_all_zero():
    assert set(vars(summarise([{"Event": "SparkListenerApplicationStart"}])).values()) == {0}
