"""TensorBoard scalars without a deep-learning framework.

TensorBoard's own EventFileWriter imports TensorFlow wherever it is installed, and then a process has two
frameworks; its record writer and messages do not.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import fsspec
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from schemas.manifest import join
from trainer.core.growing_file import GrowingFile


class EventFile:
    """One event file of a run; TensorBoard reads all files of the folder as one run."""

    def __init__(self, folder: str, first_step: int) -> None:
        """first_step: what earlier files say from it on is void: a resumed run repeats them."""
        filesystem, root = fsspec.core.url_to_fs(folder)
        filesystem.makedirs(root, exist_ok=True)
        # Nanoseconds: two starts in one second must not share a file.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = GrowingFile(join(folder, name))
        self._writer = RecordWriter(self._file)
        self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(wall_time=time.time(), step=first_step, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """values: tag → value at that step."""
        summary = summary_pb2.Summary(
            value=[summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._write(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))

    def sync(self) -> None:
        """Have the file hold everything; see trainer.core.growing_file."""
        self._file.sync()

    def _write(self, event: event_pb2.Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()
