"""Partitions → part files, written through Arrow by Spark's Python workers, and measured on the way.

A Spark data source with its commit protocol: each task attempt writes under names of its own in
`_temporary/`; only when the whole job has succeeded are the files of the attempts that count moved to
`part-0000k`, k being the partition, so a retried task leaves nothing behind and is counted once. Files go
through fsspec: local folders always, others where its driver is installed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol
from uuid import uuid4

import fsspec
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from schemas.files import names_in
from schemas.manifest import join
from schemas.shards import part_name
from spark_jobs.files.part_formats import FORMATS, MeasuredFile, PartFormat
from spark_jobs.worker_errors import errors_of_workers

REPORT = "_report.json"
MAX = "max_"
_TEMPORARY = "_temporary"


@dataclass(frozen=True)
class Output:
    """One folder of part files. schema: what Parquet's columns are cast to; None: as they come."""

    path: str
    format: str
    schema: pa.Schema | None = None


@dataclass(frozen=True)
class Part:
    """One file that was written. output: name of its Output; path: relative to that."""

    output: str
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """What a whole write came to: its files, and what its tasks counted, added up."""

    parts: tuple[Part, ...]
    counts: Mapping[str, int]


class Task(Protocol):
    """What a task does with its partition.

    counts: filled meanwhile; those of all tasks are added up, or the greatest taken where a name begins with
    max_. Exact, since attempts that failed do not count.
    """

    counts: Counter[str]

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        """(name of an Output, folder below it or "", rows), in order."""
        ...


class PassOn:
    """Every row to each of the outputs; with partition_by, in Hive folders by that column's value.

    check: of schemas.rules, for the rows as they are written. where: for its messages.
    """

    def __init__(
        self,
        outputs: tuple[str, ...],
        partition_by: str | None = None,
        check: Callable[[pa.RecordBatch, str], None] | None = None,
        where: str = "",
    ) -> None:
        self.outputs, self.partition_by, self.check, self.where = outputs, partition_by, check, where
        self.counts: Counter[str] = Counter()

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        for batch in batches:
            for folder, rows in split_by(batch, self.partition_by):
                if self.check:
                    self.check(rows, self.where)
                for output in self.outputs:
                    yield output, folder, rows


def split_by(rows: pa.RecordBatch, column: str | None) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(`column=value`, the rows that have it, without the column); all under "" where column is None."""
    if column is None:
        yield "", rows
        return
    values, rest = rows[column], rows.drop_columns([column])
    for value in values.unique():
        yield f"{column}={value}", rest.filter(pa.compute.equal(values, value))


def write_part_files(rows: DataFrame, outputs: Mapping[str, Output], task: Task) -> Report:
    """Run the job. The outputs' folders must not hold anything of value."""

    # Spark ships a class made here by value: with it go outputs and task.
    class PartFiles(DataSource):
        @classmethod
        def name(cls) -> str:
            return "part_files"

        def writer(self, schema: StructType, overwrite: bool) -> PartWriter:
            return PartWriter(outputs, task)

    session = rows.sparkSession
    session.dataSource.register(PartFiles)
    with errors_of_workers():
        rows.write.format(PartFiles.name()).mode("append").save()
    return read_report(outputs)


def this_partition() -> int:
    """In a task: the number of its partition."""
    context = TaskContext.get()
    assert context
    return context.partitionId()


def read_report(outputs: Mapping[str, Output]) -> Report:
    filesystem, path = _report_of(outputs)
    plain = json.loads(filesystem.cat_file(path))
    return Report(tuple(Part(**part) for part in plain["parts"]), plain["counts"])


@dataclass
class TaskDone(WriterCommitMessage):
    """What one task attempt wrote; the parts' paths are temporary names."""

    partition: int
    written: list[tuple[str, Part]] = field(default_factory=list)  # with the folder below the output
    counts: dict[str, int] = field(default_factory=dict)


class PartWriter(DataSourceArrowWriter):
    """Runs in pieces: `write` in each task, `commit` or `abort` once, each in another process."""

    def __init__(self, outputs: Mapping[str, Output], task: Task, overwrite: bool = False) -> None:
        self.outputs, self.task, self.overwrite = dict(outputs), task, overwrite

    def write(self, iterator: Iterator[pa.RecordBatch]) -> TaskDone:
        done = TaskDone(this_partition())
        parts: dict[tuple[str, str], _OpenPart] = {}
        try:
            for output, folder, rows in self.task.pieces(iterator):
                if rows.num_rows:
                    if (output, folder) not in parts:
                        parts[output, folder] = _OpenPart(self.outputs[output], rows.schema)
                    parts[output, folder].write(rows)
            for (output, folder), part in parts.items():
                done.written.append((folder, part.finish(output)))
        except BaseException:
            for part in parts.values():
                part.abandon()
            raise
        done.counts = dict(self.task.counts)
        return done

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        done = [message for message in messages if isinstance(message, TaskDone)]
        if self.overwrite:
            self._remove_old_parts()
        parts, counts = [], Counter[str]()
        for message in sorted(done, key=lambda message: message.partition):
            _add(counts, message.counts)
            for folder, part in message.written:
                output = self.outputs[part.output]
                filesystem, root = fsspec.core.url_to_fs(output.path)
                name = part_name(message.partition, output.format)
                path = join(folder, name) if folder else name
                filesystem.makedirs(join(root, folder), exist_ok=True)
                filesystem.mv(join(root, _TEMPORARY, part.path), join(root, path))
                parts.append(asdict(part) | {"path": path})
        self.abort(messages)
        filesystem, path = _report_of(self.outputs)
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(path, json.dumps({"parts": parts, "counts": counts}).encode())

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Remove what no commit has taken."""
        for output in self.outputs.values():
            filesystem, root = fsspec.core.url_to_fs(output.path)
            if filesystem.exists(join(root, _TEMPORARY)):
                filesystem.rm(join(root, _TEMPORARY), recursive=True)

    def _remove_old_parts(self) -> None:
        for output in self.outputs.values():
            filesystem, root = fsspec.core.url_to_fs(output.path)
            # No glob: the folder's own name may have a pattern's signs in it.
            for name in names_in(filesystem, root):
                if name.startswith("part-") and name.endswith(f".{output.format}"):
                    filesystem.rm_file(join(root, name))


def _add(counts: Counter[str], further: Mapping[str, int]) -> None:
    for name, count in further.items():
        counts[name] = max(counts[name], count) if name.startswith(MAX) else counts[name] + count


class _OpenPart:
    """One file of one task attempt."""

    def __init__(self, output: Output, schema: pa.Schema) -> None:
        filesystem, root = fsspec.core.url_to_fs(output.path)
        filesystem.makedirs(join(root, _TEMPORARY), exist_ok=True)
        self._name = f"{uuid4().hex}.{output.format}"
        self._file = MeasuredFile(filesystem.open(join(root, _TEMPORARY, self._name), "wb"))
        self._content: PartFormat = FORMATS[output.format](self._file, output.schema or schema)
        self._rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        self._content.write(rows)
        self._rows += rows.num_rows

    def finish(self, output: str) -> Part:
        self._content.close()
        self._file.close()
        return Part(output, self._name, self._rows, self._file.bytes, self._file.sha256)

    def abandon(self) -> None:
        self._file.abandon()


def _report_of(outputs: Mapping[str, Output]) -> tuple[fsspec.AbstractFileSystem, str]:
    """Where the driver finds what the commit, in a process of its own, has to say."""
    filesystem, root = fsspec.core.url_to_fs(next(iter(outputs.values())).path)
    return filesystem, join(root, REPORT)
