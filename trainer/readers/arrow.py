"""Parquet shards through pyarrow: values and offsets straight into NumPy. The default."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ContractError
from schemas.parquet import READ_OPTIONS, check_claims
from schemas.shards import PARQUET, PROLONGED_LOS, SHARDS, TOKEN_IDS, VISIT_NUMBERS
from trainer.readers.base import ShardColumns, ShardDamaged, ShardReader


class ArrowReader(ShardReader):
    """Reads Parquet with pyarrow."""

    file_format = PARQUET

    def _read_columns(self, content: bytes, uri: str) -> ShardColumns:
        try:
            with pq.ParquetFile(pa.BufferReader(content), **READ_OPTIONS) as file:
                check_claims(file.metadata, len(content), uri)
                check_schema(file.schema_arrow, uri)
                table = file.read(columns=list(SHARDS.column_names), use_threads=False)
        except ContractError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            # The reason alone: pyarrow's message may quote the file's content.
            raise ShardDamaged(f"cannot be read as Parquet ({type(error).__name__})") from error
        token_ids, token_offsets = _flat_lists(table, TOKEN_IDS)
        visit_numbers, visit_offsets = _flat_lists(table, VISIT_NUMBERS)
        return ShardColumns(
            token_ids,
            token_offsets,
            visit_numbers,
            visit_offsets,
            _flat(table.column(PROLONGED_LOS), PROLONGED_LOS),
        )


def check_schema(schema: pa.Schema, uri: str) -> None:
    """Refuse a Parquet file whose columns are not those of a shard. Raises ContractError."""
    SHARDS.check_columns({field.name: _spark_name(field.type) for field in schema}, uri)


def _spark_name(arrow_type: pa.DataType) -> str:
    """How schemas.table writes a type; Arrow's own name for a type that it does not have."""
    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type):
        return f"array<{_spark_name(arrow_type.value_type)}>"
    return "int" if pa.types.is_int32(arrow_type) else str(arrow_type)


def _flat_lists(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A list column as values (N,) and offsets (P + 1,) from 0."""
    column = table.column(name)
    if column.null_count:
        raise ShardDamaged(f"has nulls in {name}")
    values = _flat(
        pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type), name
    )
    offsets = np.zeros(len(column) + 1, np.int64)
    row = 0
    for chunk in column.chunks:
        ends = chunk.offsets.to_numpy()
        offsets[row + 1 : row + 1 + len(chunk)] = ends[1:] - ends[0] + offsets[row]
        row += len(chunk)
    return values, offsets


def _flat(column: pa.ChunkedArray, name: str) -> np.ndarray:
    if column.null_count:
        raise ShardDamaged(f"has nulls in {name}")
    return column.to_numpy()
