"""A file that becomes longer while a run trains, wherever it lies."""

from __future__ import annotations

import time

from trainer.core.storage import file_system, is_local, retried

UPLOAD_SECONDS = 30
"""At most so often is a remote file written anew without being told to."""


class GrowingFile:
    """Adds to a file's end. A store's objects cannot grow: there, what was added is written with all before.

    On this machine `flush` writes what was added; on a store it does so now and then, `sync` always. All
    raise OSError.
    """

    def __init__(self, uri: str, content: bytes = b"") -> None:
        """content: what the file already holds. The folder exists."""
        self._uri = uri
        self._filesystem, self._path = file_system(uri)
        self._grows = is_local(uri)
        self._content = bytearray() if self._grows else bytearray(content)
        """Of a local file: what was added; of a remote one: all."""
        self._is_written = True
        self._written_at = time.monotonic()

    def write(self, data: bytes) -> None:
        """Add to the end, in memory."""
        self._content += data
        self._is_written = False

    def flush(self) -> None:
        if self._grows or time.monotonic() - self._written_at >= UPLOAD_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have the file hold everything."""
        if self._is_written:
            return
        if self._grows:
            content, self._content = self._content, bytearray()
            with self._filesystem.open(self._path, "ab") as stream:
                stream.write(content)
        else:
            retried(self._uri, lambda: self._filesystem.pipe_file(self._path, bytes(self._content)))
        self._is_written = True
        self._written_at = time.monotonic()
