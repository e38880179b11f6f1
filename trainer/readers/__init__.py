"""Shard files → ragged NumPy batches: one module a reader, one interface."""

from __future__ import annotations

from typing import Literal

from schemas.shards import PARQUET, TFRECORD, read_shard_set
from trainer.readers.base import ShardReader

ReaderName = Literal["arrow", "petastorm", "tfrecord"]
FILE_FORMATS: dict[ReaderName, str] = {"arrow": PARQUET, "petastorm": PARQUET, "tfrecord": TFRECORD}


def open_reader(name: ReaderName, uri: str) -> ShardReader:
    """The reader of that name on one split's shards. Raises ContractError."""
    shards = read_shard_set(uri, FILE_FORMATS[name])
    if name == "petastorm":
        from trainer.readers.petastorm import PetastormReader

        return PetastormReader(shards)
    if name == "tfrecord":
        from trainer.readers.tfrecord import TFRecordReader

        return TFRecordReader(shards)
    from trainer.readers.arrow import ArrowReader

    return ArrowReader(shards)
