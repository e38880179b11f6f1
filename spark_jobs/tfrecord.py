"""`rows.write.format("tfrecord").mode("overwrite").save(path)`: TFRecord files of `tf.train.Example`s.

Partition k that has rows becomes `part-0000k.tfrecord`. Each task writes under a name of its own in
`_temporary/`; only when the whole job has succeeded are the files of the attempts that count moved into
place, so a retried task leaves nothing behind. Files are written through fsspec: local folders always,
others where its driver is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import fsspec
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import ArrayType, ByteType, DataType, IntegerType, LongType, ShortType, StructType

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.shards import TFRECORD, part_name
from spark_jobs.tf_example import encode_records

ROWS_FILE = "_rows.json"  # file name → rows
_TEMPORARY = "_temporary"
_WHOLE_NUMBERS = (ByteType, ShortType, IntegerType, LongType)


class TfRecordDataSource(DataSource):
    """Format `tfrecord`, for writing only: `spark.dataSource.register(TfRecordDataSource)` makes it known."""

    @classmethod
    def name(cls) -> str:
        return TFRECORD

    def writer(self, schema: StructType, overwrite: bool) -> TfRecordWriter:
        wrong = [field.name for field in schema if not _is_supported(field.dataType)]
        if wrong:
            raise ContractError(
                f"column {', '.join(wrong)} is neither a whole number nor a list of them",
                "a TFRecord of this project holds int64 lists",
                "leave it out, or cast it",
            )
        return TfRecordWriter(self.options["path"], overwrite)


@dataclass
class WrittenPart(WriterCommitMessage):
    """What one task attempt wrote. name: of its file in `_temporary/`; None without rows."""

    partition: int
    name: str | None
    rows: int


class TfRecordWriter(DataSourceArrowWriter):
    """Runs in pieces: `write` in each task, `commit` or `abort` once, each in another process."""

    def __init__(self, path: str, overwrite: bool) -> None:
        self.path, self.overwrite = path, overwrite

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WrittenPart:
        context = TaskContext.get()
        assert context
        name = f"{uuid4().hex}.{TFRECORD}"
        filesystem, root = fsspec.core.url_to_fs(self.path)
        filesystem.makedirs(join(root, _TEMPORARY), exist_ok=True)
        rows = 0
        with filesystem.open(join(root, _TEMPORARY, name), "wb") as file:
            for batch in iterator:
                file.write(encode_records(batch))
                rows += batch.num_rows
        return WrittenPart(context.partitionId(), name if rows else None, rows)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        filesystem, root = fsspec.core.url_to_fs(self.path)
        parts = {
            part_name(message.partition, TFRECORD): message
            for message in messages
            if isinstance(message, WrittenPart) and message.name
        }
        if self.overwrite:
            for old in filesystem.glob(join(root, f"part-*.{TFRECORD}")):
                filesystem.rm_file(old)
        for target, message in parts.items():
            filesystem.mv(join(root, _TEMPORARY, message.name), join(root, target))
        rows = {target: message.rows for target, message in sorted(parts.items())}
        filesystem.makedirs(root, exist_ok=True)
        filesystem.pipe_file(join(root, ROWS_FILE), json.dumps(rows).encode())
        self.abort(messages)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Remove what no commit has taken."""
        filesystem, root = fsspec.core.url_to_fs(self.path)
        if filesystem.exists(join(root, _TEMPORARY)):
            filesystem.rm(join(root, _TEMPORARY), recursive=True)


def _is_supported(kind: DataType) -> bool:
    return isinstance(kind.elementType if isinstance(kind, ArrayType) else kind, _WHOLE_NUMBERS)
