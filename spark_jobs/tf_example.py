"""Arrow batches → TFRecord bytes of `tf.train.Example`s, in flat NumPy, without TensorFlow or protobuf.

Every column of whole numbers, or lists of them, becomes an int64 list of that name. Sources of the formats:
TensorFlow `lib/io/record_writer.h` (framing) and `core/example/*.proto`; protobuf's encoding guide (varints).
"""

from __future__ import annotations

import crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa

UInts = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# Tags: field number × 8 + 2 (a field with a length).
_FEATURES = 0x0A  # Example.features
_ENTRY = 0x0A  # Features.feature, a map entry
_KEY = 0x0A
_VALUE = 0x12
_INT64_LIST = 0x1A  # Feature.int64_list
_PACKED = 0x0A  # Int64List.value
_HEADER_BYTES = 12  # the length in 8 bytes, its checksum in 4
_FOOTER_BYTES = 4
_MASK_DELTA = 0xA282EAD8


def encode_records(batch: pa.RecordBatch) -> bytes:
    """The batch's rows as framed records, in order. No nulls; columns of whole numbers or lists of them."""
    if not batch.num_rows:
        return b""
    features = [
        _Feature(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    features_bytes = sum(
        (_field_bytes(feature.entry) for feature in features), np.zeros(batch.num_rows, np.int64)
    )
    example_bytes = _field_bytes(features_bytes)
    ends = np.cumsum(_HEADER_BYTES + example_bytes + _FOOTER_BYTES)
    starts = np.concatenate([[0], ends[:-1]])
    buffer = np.zeros(ends[-1], np.uint8)
    at = _put_head(buffer, starts + _HEADER_BYTES, _FEATURES, features_bytes)
    for feature in features:
        at = feature.put(buffer, at)
    _frame(buffer, starts, example_bytes)
    return buffer.tobytes()


class _Feature:
    """One column: (R,) sizes of its nested messages, and how to write them."""

    def __init__(self, name: str, column: pa.Array) -> None:
        lengths, values = _flat(column)
        self.values = values
        self.value_bytes = _varint_bytes(values)
        ends = np.concatenate([[0], np.cumsum(self.value_bytes)])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        self.row_of_value = np.repeat(np.arange(len(lengths)), lengths)
        self.packed = ends[offsets[1:]] - ends[offsets[:-1]]
        self.place = ends[:-1] - ends[offsets[:-1]][self.row_of_value]  # of each value among its row's
        self.int64_list = np.where(self.packed > 0, _field_bytes(self.packed), 0)
        self.feature = _field_bytes(self.int64_list)
        key = name.encode()
        self.key = np.frombuffer(bytes([_KEY]) + _varint(len(key)) + key, np.uint8)
        self.entry = len(self.key) + _field_bytes(self.feature)

    def put(self, buffer: Bytes, at: Ints) -> Ints:
        """Write the map entry of each row from `at` (R,) on; return where it ends."""
        at = _put_head(buffer, at, _ENTRY, self.entry)
        buffer[at[:, None] + np.arange(len(self.key))] = self.key
        at = _put_head(buffer, at + len(self.key), _VALUE, self.feature)
        at = _put_head(buffer, at, _INT64_LIST, self.int64_list)
        some = self.packed > 0
        at = at.copy()
        at[some] = _put_head(buffer, at[some], _PACKED, self.packed[some])
        _put_varints(buffer, at[self.row_of_value] + self.place, self.values, self.value_bytes)
        return at + self.packed


def _flat(column: pa.Array) -> tuple[Ints, UInts]:
    """(lengths of the rows' lists, all values); negative ones as two's complement, as protobuf wants them."""
    assert not column.null_count, "a column to be written as TFRecord has nulls"
    if pa.types.is_list(column.type):
        lengths = np.diff(column.offsets.to_numpy()).astype(np.int64)
        values = column.flatten()
    else:
        lengths, values = np.ones(len(column), np.int64), column
    return lengths, values.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)


def _varint_bytes(values: UInts) -> Ints:
    """How many bytes each value takes as a varint: one for each 7 bits."""
    lengths = np.ones(len(values), np.int64)
    for bits in range(7, 64, 7):
        longer = values >= np.uint64(1 << bits)
        if not longer.any():
            break
        lengths += longer
    return lengths


def _field_bytes(body: Ints) -> Ints:
    """A field with a length: tag (1), length (varint), body."""
    return 1 + _varint_bytes(body.astype(np.uint64)) + body


def _put_head(buffer: Bytes, at: Ints, tag: int, body: Ints) -> Ints:
    """Write tag and length of a field at each place; return where its body begins."""
    lengths = _varint_bytes(body.astype(np.uint64))
    buffer[at] = tag
    _put_varints(buffer, at + 1, body.astype(np.uint64), lengths)
    return at + 1 + lengths


def _put_varints(buffer: Bytes, at: Ints, values: UInts, lengths: Ints) -> None:
    """Write values[i] as a varint of lengths[i] bytes at at[i]: 7 bits a byte, the top one for more."""
    for byte in range(int(lengths.max(initial=0))):
        if byte:
            there = lengths > byte
            at, values, lengths = at[there], values[there], lengths[there]
        low = (values >> np.uint64(7 * byte)).astype(np.uint8) & np.uint8(0x7F)
        buffer[at + byte] = low | ((lengths > byte + 1).astype(np.uint8) << np.uint8(7))


def _varint(value: int) -> bytes:
    values = np.array([value], np.uint64)
    lengths = _varint_bytes(values)
    buffer = np.zeros(lengths[0], np.uint8)
    _put_varints(buffer, np.zeros(1, np.int64), values, lengths)
    return buffer.tobytes()


def _frame(buffer: Bytes, starts: Ints, example_bytes: Ints) -> None:
    """Write each record's length before it, and the masked CRC-32C of length and record."""
    lengths = example_bytes.astype("<u8").view(np.uint8).reshape(-1, 8)
    buffer[starts[:, None] + np.arange(8)] = lengths
    sizes, which = np.unique(example_bytes, return_inverse=True)  # few distinct ones
    of_size = [crc32c.crc32c(size) for size in sizes.astype("<u8").view(np.uint8).reshape(-1, 8)]
    buffer[starts[:, None] + np.arange(8, 12)] = _masked(of_size)[which]
    begins = starts + _HEADER_BYTES
    ends = begins + example_bytes
    # A checksum is one call a record, in C; there is no form of it for many records at once.
    of_record = [
        crc32c.crc32c(buffer[begin:end]) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    buffer[ends[:, None] + np.arange(4)] = _masked(of_record)


def _masked(checksums: list[int]) -> Bytes:
    """(N, 4) bytes, little-endian, of TensorFlow's masked checksums."""
    crc = np.array(checksums, np.uint32)
    return (((crc >> 15) | (crc << 17)) + np.uint32(_MASK_DELTA)).astype("<u4").view(np.uint8).reshape(-1, 4)
