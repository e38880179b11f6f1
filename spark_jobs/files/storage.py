"""Folders on whatever Hadoop can reach (local, hdfs://, s3a://), through the session's JVM.

So a job's files and its manifest go through the same file system and the same credentials as Spark's own
data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from schemas.manifest import join
from schemas.small_files import MOST_BYTES, check_size


@dataclass(frozen=True)
class Entry:
    """One file or folder found. path: relative to the folder that was listed. modified: ms since 1970."""

    path: str
    is_folder: bool
    bytes: int
    modified: int = 0


class Folder:
    """One folder. Names given to its methods are relative to it; `""` is itself, which may then be a file."""

    def __init__(self, spark: SparkSession, uri: str) -> None:
        self._jvm = spark._jvm
        root = self._jvm.org.apache.hadoop.fs.Path(uri)
        self._filesystem = root.getFileSystem(spark._jsc.hadoopConfiguration())
        self.uri = uri

    @property
    def qualified(self) -> str:
        """The URI with its scheme, e.g. `file:/data/x`, which means the same to every process."""
        return self._filesystem.makeQualified(self._path("")).toString()

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's disks, or on what is mounted here."""
        return self._filesystem.getUri().getScheme() == "file"

    def is_same(self, other: Folder) -> bool:
        """Whether both are one folder; links are followed where it is local."""
        return _resolved(self.qualified) == _resolved(other.qualified)

    def exists(self, name: str = "") -> bool:
        return self._filesystem.exists(self._path(name))

    def is_folder(self, name: str = "") -> bool:
        return self.exists(name) and self._filesystem.getFileStatus(self._path(name)).isDirectory()

    def list(self, name: str = "") -> list[Entry]:
        """What lies directly in the folder `name`, by name; nothing where it does not exist."""
        if not self.is_folder(name):
            return []
        prefix = f"{name}/" if name else ""
        found = (
            Entry(
                prefix + status.getPath().getName(),
                status.isDirectory(),
                status.getLen(),
                status.getModificationTime(),
            )
            for status in self._filesystem.listStatus(self._path(name))
        )
        return sorted(found, key=lambda entry: entry.path)

    def files(self, name: str = "") -> list[Entry]:
        """All files in the folder `name` and below, by path."""
        found: list[Entry] = []
        for entry in self.list(name):
            found += self.files(entry.path) if entry.is_folder else [entry]
        return sorted(found, key=lambda entry: entry.path)

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        return self._filesystem.getFileStatus(self._path(name)).getLen() if self.exists(name) else None

    def read_bytes(self, name: str, most_bytes: int = MOST_BYTES) -> bytes:
        """A small file's content. The caller makes sure that it exists.

        Raises ContractError for a longer one, of which no more is read than the limit.
        """
        stream = self._filesystem.open(self._path(name))
        try:
            content = bytes(stream.readNBytes(most_bytes + 1))
        finally:
            stream.close()
        check_size(len(content), join(self.uri, name) if name else self.uri, most_bytes)
        return content

    def head(self, name: str = "", most_bytes: int = 1 << 16) -> bytes | None:
        """A file's first bytes, uncompressed where its extension says that it is compressed.

        None where there is no codec for that extension on this machine.
        """
        hadoop, path = self._jvm.org.apache.hadoop, self._path(name)
        if path.getName().lower().endswith(".zst"):
            return _unpacked(self._head_as_stored(path, most_bytes), "zstd", most_bytes)
        codec = hadoop.io.compress.CompressionCodecFactory(self._filesystem.getConf()).getCodec(path)
        stream = self._filesystem.open(path)
        try:
            return bytes((codec.createInputStream(stream) if codec else stream).readNBytes(most_bytes))
        except (Py4JJavaError, PySparkException):
            if codec is None:
                raise
            return None
        finally:
            stream.close()

    def _head_as_stored(self, path: Any, most_bytes: int) -> bytes:
        stream = self._filesystem.open(path)
        try:
            return bytes(stream.readNBytes(most_bytes))
        finally:
            stream.close()

    def write_bytes(self, name: str, content: bytes, *, overwrite: bool = True) -> None:
        """Write a small file. overwrite: over any that is there; else raises Py4JJavaError where one is."""
        stream = self._filesystem.create(self._path(name), overwrite)
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()

    def rename(self, source: str, target: str) -> None:
        """Move a file to a name that is free. On an object store this copies it."""
        self._filesystem.mkdirs(self._path(target).getParent())
        if not self._filesystem.rename(self._path(source), self._path(target)):
            raise OSError(f"{join(self.uri, source)} could not be renamed to {target}")

    def replace(self, source: str, target: str) -> None:
        """Move a file over another, in one step on local disks and HDFS: readers find the one or the other.

        On an object store there is a moment between, in which they find neither.
        """
        if self.is_local:
            self.rename(source, target)
            return
        hadoop = self._jvm.org.apache.hadoop
        path = self._path(target)
        context = hadoop.fs.FileContext.getFileContext(path.toUri(), self._filesystem.getConf())
        overwrite = self._jvm.java.lang.reflect.Array.newInstance(
            hadoop.fs.Options.Rename.OVERWRITE.getClass(), 1
        )
        overwrite[0] = hadoop.fs.Options.Rename.OVERWRITE
        context.rename(self._path(source), path, overwrite)

    def delete(self, name: str = "") -> None:
        """Remove a file, or a folder with all it holds; nothing to do where it does not exist."""
        self._filesystem.delete(self._path(name), True)

    def _path(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(join(self.uri, name) if name else self.uri)


def _unpacked(stored: bytes, codec: str, most_bytes: int) -> bytes:
    """The first bytes of what was compressed, of which `stored` may be the beginning."""
    found = b""
    with pa.CompressedInputStream(pa.BufferReader(stored), codec) as stream:
        try:
            while len(found) < most_bytes and (block := stream.read(1 << 12)):
                found += block
        except OSError:  # it ends in the middle
            pass
    return found


def _resolved(qualified: str) -> str:
    scheme, _, path = qualified.partition(":")
    return f"file:{os.path.realpath(path)}" if scheme == "file" else qualified
