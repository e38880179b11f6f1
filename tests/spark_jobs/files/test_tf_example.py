"""TFRecord bytes, read back by TensorFlow's own reader (in a process of its own: one framework a process)."""

import json
import subprocess
import sys

import crc32c
import numpy as np
import pyarrow as pa
import pytest

from spark_jobs.files.tf_example import encode_records

READ = """
import json, sys
import tensorflow as tf

files, columns = json.loads(sys.argv[1]), json.loads(sys.argv[2])
spec = {name: tf.io.RaggedFeature(tf.int64) for name in columns}
rows = []
for batch in tf.data.TFRecordDataset(files).batch(7):
    parsed = tf.io.parse_example(batch, spec)
    rows += [list(row) for row in zip(*(parsed[name].to_list() for name in columns))]
json.dump(rows, sys.stdout)
"""


def read_with_tensorflow(files: list[str], columns: list[str]) -> list[list[list[int]]]:
    """All rows; a row has a list for each column."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(files), json.dumps(columns)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_tensorflow_reads_every_value_back(tmp_path):
    edges = [0, 1, 127, 128, 16383, 16384, 2**31 - 1, 2**31, 2**35, 2**63 - 1, -1, -(2**63)]
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 90_000, size).tolist() for size in rng.integers(0, 300, 50)] + [edges, [], [5]]
    scalars = [int(n) for n in rng.integers(-3, 200_000, len(lists))]
    names = ["token_ids", "x" * 200, "prolonged_los"]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(lists, pa.list_(pa.int64())),
            pa.array(lists[::-1], pa.list_(pa.int64())),
            pa.array(scalars),
        ],
        names,
    )
    (tmp_path / "a.tfrecord").write_bytes(encode_records(batch))
    # A slice has offsets that do not begin at 0, and the file may be written in pieces.
    pieces = [encode_records(batch.slice(0, 20)), encode_records(batch.slice(20))]
    assert b"".join(pieces) == encode_records(batch)
    got = read_with_tensorflow([str(tmp_path / "a.tfrecord")], names)
    assert got == [[a, b, [c]] for a, b, c in zip(lists, lists[::-1], scalars, strict=True)]


@pytest.mark.parametrize(
    ("column", "body"),
    [
        (pa.array([3], pa.int32()), b"\x0a\x0c\x0a\x0a\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x03"),
        (pa.array([[]], pa.list_(pa.int32())), b"\x0a\x09\x0a\x07\x0a\x01a\x12\x02\x1a\x00"),
    ],
    ids=["a number", "an empty list"],
)
def test_bytes_by_hand(column, body):
    data = encode_records(pa.RecordBatch.from_arrays([column], ["a"]))

    def masked(part):
        crc = crc32c.crc32c(part)
        return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    length = len(body).to_bytes(8, "little")
    assert data == length + masked(length) + body + masked(body)


def test_a_null_is_refused():
    with pytest.raises(AssertionError, match="nulls"):
        encode_records(pa.RecordBatch.from_pydict({"a": pa.array([None, 1], pa.int32())}))
    with pytest.raises(pa.ArrowInvalid):
        encode_records(pa.RecordBatch.from_pydict({"a": pa.array([[None, 1]], pa.list_(pa.int32()))}))


def test_no_row_is_no_byte():
    assert encode_records(pa.RecordBatch.from_pydict({"a": pa.array([], pa.int32())})) == b""
