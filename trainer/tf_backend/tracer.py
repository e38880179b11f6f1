"""TensorFlow's profiler as trainer.core.step_trace.Tracer.

TensorFlow writes an XSpace message: planes (the host, each device) of lines (threads, streams) of events. It
becomes trace events here.
"""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Iterator
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
    """A process for each plane, a thread for each line, a complete event (X) for each event."""
    for process, plane in enumerate(space.planes):
        if plane.lines:
            yield _name("process_name", process, 0, plane.name)
        for thread, line in enumerate(plane.lines):  # their own numbers are of 64 bits, too large for viewers
            yield _name("thread_name", process, thread, line.display_name or line.name)
            for event in line.events:
                described = plane.event_metadata[event.metadata_id]
                yield {
                    "ph": "X",
                    "pid": process,
                    "tid": thread,
                    "name": described.display_name or described.name,
                    "ts": line.timestamp_ns / 1e3 + event.offset_ps / 1e6,  # in microseconds
                    "dur": event.duration_ps / 1e6,
                }


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}
