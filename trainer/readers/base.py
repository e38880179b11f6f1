"""What every reader promises, and the checks that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from schemas.errors import ContractError
from schemas.manifest import check_content, check_inside, join
from schemas.shards import ShardSet
from trainer.core.input.batch import RaggedBatch
from trainer.core.storage import read_whole


class ShardDamaged(Exception):
    """A shard file cannot be read; says what is wrong with it, but not yet which one it is."""


@dataclass(frozen=True)
class ShardColumns:
    """A shard's columns as flat arrays, not yet checked against each other. P rows, N codes."""

    token_ids: np.ndarray
    """(N,) int32"""
    token_offsets: np.ndarray
    """(P + 1,) int64, from 0"""
    visit_numbers: np.ndarray
    """(N,) int32"""
    visit_offsets: np.ndarray
    """(P + 1,) int64, from 0"""
    prolonged_los: np.ndarray
    """(P,) int32"""


class ShardReader(ABC):
    """Reads one split's shards, a whole shard at a time. All readers give the same rows in the same order."""

    file_format: str
    """Which of schemas.shards' formats it reads."""

    def __init__(self, shards: ShardSet) -> None:
        assert shards.file_format == self.file_format
        self._shards = shards
        rows = np.asarray([file.rows for file in shards.files], np.int64)
        self._first_row = np.concatenate([[0], np.cumsum(rows)])

    @property
    def shards(self) -> ShardSet:
        return self._shards

    @property
    def shard_rows(self) -> list[int]:
        """Patients of each shard."""
        return [file.rows for file in self._shards.files]

    def locate(self, row_numbers: np.ndarray) -> dict[str, list[int]]:
        """Rows of the split → file: its rows, from 0, each in ascending order. row_numbers: (K,)."""
        row_numbers = np.sort(row_numbers)
        files = np.searchsorted(self._first_row, row_numbers, side="right") - 1
        rows = row_numbers - self._first_row[files]
        return {
            self._shards.files[number].path: rows[files == number].tolist() for number in np.unique(files)
        }

    def read(self, shard_number: int) -> RaggedBatch:
        """All patients of one shard, in the file's order.

        What was read is compared with the manifest's SHA-256, each time: a shard may change between two
        epochs. Raises ContractError, naming the file, when it is damaged, out of reach, or not the file that
        the manifest describes.
        """
        file = self._shards.files[shard_number]
        uri = join(self._shards.uri, file.path)
        check_inside(self._shards.uri, file)
        content = read_whole(uri, file.bytes)
        check_content(self._shards.uri, file, content)
        try:
            columns = self._read_columns(content, uri)
            _check(columns, file.rows, self._shards.vocabulary_size)
        except ShardDamaged as error:
            raise ContractError(
                f"shard {uri} {error}",
                "a shard is the file that the shards stage published, whole and unchanged",
                "copy the shards again whole, or write them again",
            ) from error
        return RaggedBatch(
            token_ids=columns.token_ids,
            visit_numbers=columns.visit_numbers,
            offsets=columns.token_offsets,
            prolonged_los=columns.prolonged_los,
            row_numbers=np.arange(self._first_row[shard_number], self._first_row[shard_number + 1]),
        )

    @abstractmethod
    def _read_columns(self, content: bytes, uri: str) -> ShardColumns:
        """Decode one file; uri: where it came from, for messages. Raises ShardDamaged."""


def _check(columns: ShardColumns, rows: int, vocabulary_size: int) -> None:
    """Refuse columns that break the contract of schemas.shards. Raises ShardDamaged."""
    if len(columns.prolonged_los) != rows:
        raise ShardDamaged(f"has {len(columns.prolonged_los)} rows, its manifest says {rows}")
    if not np.array_equal(columns.token_offsets, columns.visit_offsets):
        raise ShardDamaged("has patients with unequal numbers of codes and visit numbers")
    if not rows:
        return
    if np.diff(columns.token_offsets).min() < 1:
        raise ShardDamaged("has a patient without codes")
    if columns.token_ids.min() < 0 or columns.token_ids.max() >= vocabulary_size:
        raise ShardDamaged(f"has a code id outside its vocabulary of {vocabulary_size} tokens")
    if columns.visit_numbers.min() < 1:
        raise ShardDamaged("has a visit number below 1")
    if columns.prolonged_los.min() < 0 or columns.prolonged_los.max() > 1:
        raise ShardDamaged("has a prolonged-stay label that is neither 0 nor 1")
