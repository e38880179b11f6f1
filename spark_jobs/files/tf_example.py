"""Arrow batches → TFRecord bytes of `tf.train.Example`s, a column at a time, without TensorFlow or protobuf.

Every column of whole numbers, or lists of them, becomes an int64 list of that name. Messages grow from the
inside out, for all rows at once: a message is a list of parts, each an Arrow column of bytes with an element
for each row, joined only when all are known. Sources of the formats: TensorFlow `lib/io/record_writer.h`
(framing) and `core/example/*.proto`; protobuf's encoding guide (varints).
"""

from __future__ import annotations

import crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Parts = list[pa.LargeBinaryArray | bytes]  # bytes: the same in every row
Ints = npt.NDArray[np.integer]
Bytes = npt.NDArray[np.uint8]

# Tags: field number × 8 + 2 (a field with a length).
_FEATURES = b"\x0a"  # Example.features
_ENTRY = b"\x0a"  # Features.feature, a map entry
_KEY = b"\x0a"
_VALUE = b"\x12"
_INT64_LIST = b"\x1a"  # Feature.int64_list
_PACKED = b"\x0a"  # Int64List.value
_MASK_DELTA = 0xA282EAD8


def encode_records(batch: pa.RecordBatch) -> bytes:
    """The batch's rows as framed records, in order. No nulls; columns of whole numbers or lists of them."""
    if not batch.num_rows:
        return b""
    entries: Parts = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        entries += _entry(name, column)
    records = _framed(_joined(_field(_FEATURES, entries)))
    return records.buffers()[2].to_pybytes()


def _entry(name: str, column: pa.Array) -> Parts:
    """A column's entry in each row's map of features."""
    key = name.encode()
    key_length = _varints(np.array([len(key)]))[0].tobytes()
    feature = _field(_INT64_LIST, _packed_field(_packed_values(column)))
    return _field(_ENTRY, [_KEY + key_length + key, *_field(_VALUE, feature)])


def _packed_field(packed: pa.LargeBinaryArray) -> Parts:
    """An empty list of numbers has no field."""
    head = _joined([_PACKED, _length([packed])])
    is_empty = pc.equal(pc.binary_length(packed), 0)
    return [pc.if_else(is_empty, _scalar(b""), head), packed]


def _field(tag: bytes, body: Parts) -> Parts:
    """A field with a length: tag, length, body."""
    return [tag, _length(body), *body]


def _length(body: Parts) -> pa.LargeBinaryArray:
    """How many bytes the body has in each row, as a varint."""
    sizes = [len(part) if isinstance(part, bytes) else pc.binary_length(part).to_numpy() for part in body]
    return _elements(*_varints(sum(sizes)))


def _packed_values(column: pa.Array) -> pa.LargeBinaryArray:
    """Each row's values, as varints end to end."""
    assert not column.null_count, "a column to be written as TFRecord has nulls"
    if not pa.types.is_list(column.type):
        return _elements(*_varints(column.to_numpy()))
    offsets = column.offsets.to_numpy()
    data, sizes = _varints(column.flatten().to_numpy())
    some = np.diff(offsets) > 0  # reduceat cannot sum over nothing
    row_sizes = np.zeros(len(column), np.int64)
    # A slice's offsets do not begin at 0.
    row_sizes[some] = np.add.reduceat(sizes, offsets[:-1][some] - offsets[0], dtype=np.int64)
    return _elements(data, row_sizes)


def _varints(values: Ints) -> tuple[Bytes, Ints]:
    """(the varints end to end, (N,) bytes of each): 7 bits a byte, low ones first, the top bit for more."""
    if values.min(initial=0) < 0:
        values = values.astype(np.int64)  # protobuf writes the two's complement of 64 bits
    values = values.view(f"u{values.itemsize}")
    digits, there = [], [np.ones(len(values), bool)]
    while True:
        more = values >= 0x80
        digits.append((values.astype(np.uint8) & 0x7F) | (more.view(np.uint8) << 7))
        if not more.any():
            break
        there.append(more)
        values = values >> 7
    sizes = np.sum(there, axis=0, dtype=np.uint8)
    # np.compress takes a quarter of the time that digits[there] does.
    return np.compress(np.stack(there, axis=1).ravel(), np.stack(digits, axis=1).ravel()), sizes


def _framed(examples: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """Each record after its length, both followed by their checksums."""
    sizes, which = np.unique(pc.binary_length(examples), return_inverse=True)  # few distinct ones
    lengths = _fixed(sizes.astype("<u8"))
    head = _joined([lengths, _checksums(lengths)]).take(which)
    return _joined([head, examples, _checksums(examples)])


def _checksums(messages: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """TensorFlow's masked CRC-32C of each element: a call in C for each, as no library does many at once."""
    crc = np.array(list(map(crc32c.crc32c, messages.to_pylist())), np.uint32)
    return _fixed((((crc >> 15) | (crc << 17)) + np.uint32(_MASK_DELTA)).astype("<u4"))


def _fixed(numbers: Ints) -> pa.LargeBinaryArray:
    """Each number's bytes as they lie."""
    return _elements(numbers.view(np.uint8), np.full(len(numbers), numbers.itemsize))


def _elements(data: Bytes, sizes: Ints) -> pa.LargeBinaryArray:
    """A column of the data's elements, which lie end to end; not copied."""
    ends = np.cumsum(sizes, dtype=np.int64)
    buffers = [None, pa.py_buffer(np.concatenate([[0], ends])), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), buffers)


def _joined(parts: Parts) -> pa.LargeBinaryArray:
    """The parts end to end, row by row."""
    columns = [_scalar(part) if isinstance(part, bytes) else part for part in parts]
    return pc.binary_join_element_wise(*columns, _scalar(b""))


def _scalar(constant: bytes) -> pa.LargeBinaryScalar:
    return pa.scalar(constant, pa.large_binary())
