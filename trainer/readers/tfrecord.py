"""TFRecord shards, without TensorFlow, so that the PyTorch backend reads them too.

Framing (TensorFlow's record format, little-endian): uint64 length, masked CRC-32C of it, payload, masked
CRC-32C of the payload.
"""

from __future__ import annotations

import struct

import numpy as np
from crc32c import crc32c

from schemas.shards import PROLONGED_LOS, TFRECORD, TOKEN_IDS, VISIT_NUMBERS
from trainer.readers.base import ShardColumns, ShardDamaged, ShardReader
from trainer.readers.example_proto import MalformedExample, parse_int64_lists

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


class TFRecordReader(ShardReader):
    """Reads TFRecord files of `tf.train.Example`; every checksum is checked."""

    file_format = TFRECORD

    def _read_columns(self, content: bytes, uri: str) -> ShardColumns:
        starts, stops = split_records(content)
        try:
            lists = parse_int64_lists(content, starts, stops, (TOKEN_IDS, VISIT_NUMBERS, PROLONGED_LOS))
        except MalformedExample as error:
            raise ShardDamaged(f"holds records that are no shard rows: {error}") from error
        token_ids, token_offsets = lists[TOKEN_IDS]
        visit_numbers, visit_offsets = lists[VISIT_NUMBERS]
        prolonged_los, label_offsets = lists[PROLONGED_LOS]
        if not np.array_equal(label_offsets, np.arange(len(starts) + 1)):
            raise ShardDamaged(f"has a row without exactly one {PROLONGED_LOS}")
        return ShardColumns(token_ids, token_offsets, visit_numbers, visit_offsets, prolonged_los)


def split_records(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Where each record's payload starts and stops: (P,), (P,) int64. Raises ShardDamaged."""
    view = memoryview(data)
    starts: list[int] = []
    stops: list[int] = []
    position = 0
    # Each record says where the next one begins, so this cannot be done for all at once.
    while position < len(data):
        start = position + _HEADER.size
        if start > len(data):
            raise ShardDamaged(f"ends inside record {len(starts)}")
        length, length_checksum = _HEADER.unpack_from(data, position)
        if _masked(crc32c(view[position : position + 8])) != length_checksum:
            raise ShardDamaged(f"has a wrong checksum at the length of record {len(starts)}")
        stop = start + length
        if stop + _FOOTER.size > len(data):
            raise ShardDamaged(f"ends inside record {len(starts)}")
        if _masked(crc32c(view[start:stop])) != _FOOTER.unpack_from(data, stop)[0]:
            raise ShardDamaged(f"has a wrong checksum at record {len(starts)}")
        starts.append(start)
        stops.append(stop)
        position = stop + _FOOTER.size
    return np.asarray(starts, np.int64), np.asarray(stops, np.int64)


def _masked(checksum: int) -> int:
    """TensorFlow's mask: turned right by 15 bits, and a constant added."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
