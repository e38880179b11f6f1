"""One file of Parquet or TFRecord, written batch by batch, measured on the way."""

from __future__ import annotations

import hashlib
import io
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.diagnoses import VISIT_ID
from schemas.parquet import WRITE_OPTIONS
from schemas.shards import PARQUET, TFRECORD
from spark_jobs.files.tf_example import encode_records

# Row groups are cut by rows alone, so that the bytes do not depend on how the rows arrived.
ROWS_PER_GROUP = 1 << 17
# A fifth smaller than snappy on lists of ids, and read by pyarrow, DuckDB and petastorm alike.
COMPRESSION, COMPRESSION_LEVEL = "zstd", 3
# Columns with too many values for a dictionary: without one, files of diagnoses are a sixth smaller.
MANY_VALUES = (VISIT_ID,)


class MeasuredFile(io.RawIOBase):
    """Passes bytes on to a stream; knows how many there were, and their SHA-256."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        self._stream.write(view)
        self._digest.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.bytes

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()

    def abandon(self) -> None:
        """Close the stream as it is. What a format then still writes, such as its end, goes nowhere."""
        self._stream.close()
        self._stream = io.BytesIO()


class PartFormat(Protocol):
    """A file being written. `close` ends the format, not the file."""

    def write(self, rows: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class ParquetPart:
    """Parquet whose bytes depend on the rows and their order alone, not on batches, process or machine."""

    def __init__(self, file: MeasuredFile, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(
            file,
            schema,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=_with_dictionary(schema),
            # Readers find the contract's plain types, not those of Arrow's own that the writer had.
            store_schema=False,
            **WRITE_OPTIONS,
        )
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows.cast(self._schema))
        self._rows += rows.num_rows
        if self._rows >= ROWS_PER_GROUP:
            self._write_groups(self._rows - self._rows % ROWS_PER_GROUP)

    def close(self) -> None:
        self._write_groups(self._rows)
        self._writer.close()

    def _write_groups(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        if rows:
            self._writer.write_table(table.slice(0, rows).combine_chunks(), ROWS_PER_GROUP)
        self._waiting = table.slice(rows).to_batches()
        self._rows -= rows


def _with_dictionary(schema: pa.Schema) -> list[str]:
    """Parquet's own names of the columns: a list's values are a column below it."""
    return [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in schema
        if field.name not in MANY_VALUES
    ]


class TfRecordPart:
    """TFRecord of `tf.train.Example`s (tf_example)."""

    def __init__(self, file: MeasuredFile, schema: pa.Schema) -> None:
        self._file = file

    def write(self, rows: pa.RecordBatch) -> None:
        self._file.write(encode_records(rows))

    def close(self) -> None:
        pass


FORMATS: dict[str, type[ParquetPart] | type[TfRecordPart]] = {PARQUET: ParquetPart, TFRECORD: TfRecordPart}
