"""Parquet shards through petastorm's batch reader.

petastorm hands out a column of lists only as a dense matrix. A transform therefore joins each row group into
one row, whose lists are the flat values and the lengths: nothing is padded, and nothing has to be cut out
again. One worker thread and no shuffling keep the file's order. What petastorm opens is the content that was
compared with the manifest, in a file system of that one file.
"""

from __future__ import annotations

import logging
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ContractError
from schemas.parquet import READ_OPTIONS, check_claims
from schemas.shards import PARQUET, PROLONGED_LOS, SHARDS, TOKEN_IDS, VISIT_NUMBERS
from trainer.core.input.ragged import offsets_of
from trainer.readers.arrow import check_schema
from trainer.readers.base import ShardColumns, ShardDamaged, ShardReader

_TOKEN_COUNTS = "token_counts"
_VISIT_COUNTS = "visit_counts"
_COLUMNS = (TOKEN_IDS, _TOKEN_COUNTS, VISIT_NUMBERS, _VISIT_COUNTS, PROLONGED_LOS)


class PetastormReader(ShardReader):
    """Reads Parquet with petastorm."""

    file_format = PARQUET

    def _read_columns(self, content: bytes, uri: str) -> ShardColumns:
        try:
            num_rows = self._check_file(content, uri)
            groups = _read_row_groups(content) if num_rows else []
        except ContractError:
            raise
        except (pa.ArrowException, OSError, RuntimeError, ValueError, TypeError) as error:
            raise ShardDamaged(f"cannot be read as Parquet ({type(error).__name__})") from error
        flat = {
            name: np.concatenate([group[name] for group in groups]) if groups else np.zeros(0, np.int32)
            for name in _COLUMNS
        }
        return ShardColumns(
            flat[TOKEN_IDS],
            offsets_of(flat[_TOKEN_COUNTS]),
            flat[VISIT_NUMBERS],
            offsets_of(flat[_VISIT_COUNTS]),
            flat[PROLONGED_LOS],
        )

    def _check_file(self, content: bytes, uri: str) -> int:
        """The file's number of rows; petastorm refuses a file without any."""
        with pq.ParquetFile(pa.BufferReader(content), **READ_OPTIONS) as file:
            check_claims(file.metadata, len(content), uri)
            check_schema(file.schema_arrow, uri)
            return file.metadata.num_rows


class _OneFile:
    """What petastorm asks of a file system, with one file in it: its own would open the shard once more."""

    PATH = "/shard.parquet"

    def __init__(self, content: bytes) -> None:
        self._content = content

    def isdir(self, path: str) -> bool:
        return False

    def open(self, path: str, mode: str = "rb") -> BytesIO:
        return BytesIO(self._content)


def _read_row_groups(content: bytes) -> list[dict[str, np.ndarray]]:
    from petastorm import TransformSpec, make_batch_reader

    # It says twice for each shard that nobody wrote petastorm's own metadata into it.
    logging.getLogger("petastorm").setLevel(logging.WARNING)
    transform = TransformSpec(
        _join_rows,
        edit_fields=[(name, np.int32, (None,), False) for name in _COLUMNS],
        selected_fields=list(_COLUMNS),
    )
    reader = make_batch_reader(
        [f"file://{_OneFile.PATH}"],
        filesystem=_OneFile(content),
        schema_fields=list(SHARDS.column_names),
        transform_spec=transform,
        reader_pool_type="thread",
        workers_count=1,
        shuffle_row_groups=False,
        num_epochs=1,
    )
    try:
        return [{name: getattr(group, name)[0] for name in _COLUMNS} for group in reader]
    finally:
        # Not as a context manager: that one prints a line at each end.
        reader.stop()
        reader.join()


def _join_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """A row group as one row of flat lists."""
    token_ids, visit_numbers = rows[TOKEN_IDS].to_numpy(), rows[VISIT_NUMBERS].to_numpy()
    joined = {
        TOKEN_IDS: _joined(token_ids),
        _TOKEN_COUNTS: _lengths(token_ids),
        VISIT_NUMBERS: _joined(visit_numbers),
        _VISIT_COUNTS: _lengths(visit_numbers),
        PROLONGED_LOS: _without_nulls(rows[PROLONGED_LOS].to_numpy()),
    }
    return pd.DataFrame({name: [values] for name, values in joined.items()})


def _joined(lists: np.ndarray) -> np.ndarray:
    return _without_nulls(np.concatenate(lists))


def _without_nulls(values: np.ndarray) -> np.ndarray:
    if values.dtype != np.int32:  # pandas makes floats of whole numbers with nulls
        raise ValueError("a column holds a null")
    return values


def _lengths(lists: np.ndarray) -> np.ndarray:
    return np.fromiter(map(len, lists), np.int32, len(lists))
