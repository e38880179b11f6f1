"""TensorFlow's profiler as trainer.core.step_trace.Tracer.

TensorFlow writes an XSpace message: planes (the host, each device) of lines (threads, streams) of events. It
becomes trace events here.
"""

from __future__ import annotations

import glob
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2


class TensorFlowTracer:
    """Operations of the host and, where there is one, kernels of the GPU."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        tf.profiler.experimental.start(self._folder.name)

    def span(self, name: str) -> AbstractContextManager[object]:
        return tf.profiler.experimental.Trace(name)

    def stop(self) -> bytes:
        assert self._folder is not None
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        with self._folder as folder:
            (path,) = glob.glob(os.path.join(folder, "plugins", "profile", "*", "*.xplane.pb"))
            with open(path, "rb") as stream:
                space.ParseFromString(stream.read())
        return json.dumps({"displayTimeUnit": "ms", "traceEvents": list(trace_events(space))}).encode()


def trace_events(space: xplane_pb2.XSpace) -> Iterator[dict[str, Any]]:
    """A process for each plane, a thread or more for each line, a complete event (X) for each event."""
    for process, plane in enumerate(space.planes):
        if plane.lines:
            yield _name("process_name", process, 0, plane.name)
        threads = itertools.count()  # the lines' own numbers are of 64 bits, too large for viewers
        for line in plane.lines:
            for events, thread in zip(nested(line.events), threads, strict=False):
                yield _name("thread_name", process, thread, line.display_name or line.name)
                for event in events:
                    described = plane.event_metadata[event.metadata_id]
                    yield {
                        "ph": "X",
                        "pid": process,
                        "tid": thread,
                        "name": described.display_name or described.name,
                        "ts": line.timestamp_ns / 1e3 + event.offset_ps / 1e6,  # in microseconds
                        "dur": event.duration_ps / 1e6,
                    }


def nested(events: Iterable[xplane_pb2.XEvent]) -> list[list[xplane_pb2.XEvent]]:
    """Events of a line in lists in order of time, of whose events each two lie apart or one in the other.

    TensorFlow lets an event end some nanoseconds after the next has begun. Perfetto drops the second.
    """
    lists: list[list[xplane_pb2.XEvent]] = []
    ends: list[list[int]] = []
    """For each list those of the events that are under way, innermost last."""
    for event in sorted(events, key=lambda event: (event.offset_ps, -event.duration_ps)):
        end = event.offset_ps + event.duration_ps
        for under_way in ends:
            while under_way and under_way[-1] <= event.offset_ps:
                under_way.pop()
        place = next((k for k, open_ in enumerate(ends) if not open_ or end <= open_[-1]), len(lists))
        if place == len(lists):
            lists.append([])
            ends.append([])
        lists[place].append(event)
        ends[place].append(end)
    return lists


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}
