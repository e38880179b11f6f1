"""What one Spark application did, from the JSON lines of its event log."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class AppMetrics:
    """Sums over the tasks that succeeded; bytes and seconds.

    jobs_s: from the first job's start to the last one's end, so without the start of the JVM.
    input_rows: rows read from files. Where one query reads two things, both count.
    most_rows_shuffled: rows written by the largest shuffle; total over all shuffles in shuffle_write_rows.
    heap_peak: the most heap in use that Spark saw (at the end of tasks, and each second).
    """

    jobs_s: float
    input_rows: int
    input_bytes: int
    output_bytes: int
    shuffle_write_rows: int
    most_rows_shuffled: int
    shuffle_write_bytes: int
    shuffle_read_bytes: int
    spill_disk_bytes: int
    task_s: float
    task_cpu_s: float
    gc_s: float
    heap_peak: int


def read_event_log(folder: str) -> AppMetrics:
    """Parse the one log in a folder, which Spark wrote without compression and in one file."""
    (name,) = os.listdir(folder)
    with open(os.path.join(folder, name), encoding="utf-8") as lines:
        return summarise(json.loads(line) for line in lines)


def summarise(events: Iterable[dict]) -> AppMetrics:
    """The metrics of a log's events."""
    times, total, shuffled, heap = [], defaultdict(int), defaultdict(int), 0
    for event in events:
        kind = event["Event"]
        if kind == "SparkListenerJobStart":
            times.append(event["Submission Time"])
        elif kind == "SparkListenerJobEnd":
            times.append(event["Completion Time"])
        elif kind == "SparkListenerStageExecutorMetrics":
            heap = max(heap, event["Executor Metrics"].get("JVMHeapMemory", 0))
        elif kind == "SparkListenerTaskEnd" and event["Task End Reason"]["Reason"] == "Success":
            heap = max(heap, event.get("Task Executor Metrics", {}).get("JVMHeapMemory", 0))
            metrics = event["Task Metrics"]
            read, written = metrics["Shuffle Read Metrics"], metrics["Shuffle Write Metrics"]
            total["input_rows"] += metrics["Input Metrics"]["Records Read"]
            total["input_bytes"] += metrics["Input Metrics"]["Bytes Read"]
            total["output_bytes"] += metrics["Output Metrics"]["Bytes Written"]
            total["shuffle_write_rows"] += written["Shuffle Records Written"]
            total["shuffle_write_bytes"] += written["Shuffle Bytes Written"]
            total["shuffle_read_bytes"] += read["Local Bytes Read"] + read["Remote Bytes Read"]
            total["spill_disk_bytes"] += metrics["Disk Bytes Spilled"]
            total["run_ms"] += metrics["Executor Run Time"]
            total["cpu_ns"] += metrics["Executor CPU Time"]
            total["gc_ms"] += metrics["JVM GC Time"]
            shuffled[event["Stage ID"]] += written["Shuffle Records Written"]
    return AppMetrics(
        jobs_s=(max(times) - min(times)) / 1000 if times else 0.0,
        input_rows=total["input_rows"],
        input_bytes=total["input_bytes"],
        output_bytes=total["output_bytes"],
        shuffle_write_rows=total["shuffle_write_rows"],
        most_rows_shuffled=max(shuffled.values(), default=0),
        shuffle_write_bytes=total["shuffle_write_bytes"],
        shuffle_read_bytes=total["shuffle_read_bytes"],
        spill_disk_bytes=total["spill_disk_bytes"],
        task_s=total["run_ms"] / 1e3,
        task_cpu_s=total["cpu_ns"] / 1e9,
        gc_s=total["gc_ms"] / 1e3,
        heap_peak=heap,
    )
