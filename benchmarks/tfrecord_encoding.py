"""How fast rows become TFRecord bytes: the project's NumPy encoder, or a loop of tf.train.Example.

    python -m benchmarks.tfrecord_encoding --rows 50000

One process each; CPU seconds of one core, the best of 5 rounds, up to framed bytes with checksums in a file.
Records are checked equal, parsed by TensorFlow (protobuf may order an Example's features otherwise).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

ROUNDS = 5
FEATURES = ("token_ids", "visit_numbers", "prolonged_los")


def random_rows(rows: int) -> pa.RecordBatch:
    """Like shards: 1 to 60 codes a patient, ids below 30,000."""
    chance = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(chance.integers(1, 60, rows))]).astype(np.int32)
    tokens = chance.integers(4, 30_000, offsets[-1]).astype(np.int32)
    visits = chance.integers(1, 100, offsets[-1]).astype(np.int32)
    lists = [pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)) for values in (tokens, visits)]
    return pa.RecordBatch.from_arrays([*lists, pa.array(chance.integers(0, 2, rows), pa.int32())], FEATURES)


def write_encoded(batch: pa.RecordBatch, path: str) -> None:
    """As the project does it."""
    from spark_jobs.files.tf_example import encode_records

    with open(path, "wb") as file:
        file.write(encode_records(batch))


def write_examples(batch: pa.RecordBatch, path: str) -> None:
    """One protobuf object a row, as TensorFlow's guide does it."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(path) as writer:
        for example in examples(batch):
            writer.write(example)


def examples(batch: pa.RecordBatch) -> Iterator[bytes]:
    import tensorflow as tf

    for row in batch.to_pylist():
        features = {
            name: tf.train.Feature(
                int64_list=tf.train.Int64List(value=row[name] if isinstance(row[name], list) else [row[name]])
            )
            for name in FEATURES
        }
        yield tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def check_equal(batch: pa.RecordBatch, path: str) -> None:
    """Write with the encoder and read with TensorFlow's own reader, which checks the checksums."""
    import tensorflow as tf

    write_encoded(batch, path)
    ours = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    for left, right in zip(ours, examples(batch), strict=True):
        assert tf.train.Example.FromString(left) == tf.train.Example.FromString(right), "a record differs"


def best(action: Callable[[], object]) -> float:
    """CPU seconds of the fastest round."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        action()
        taken.append(time.process_time() - started)
    return min(taken)


def seconds_of(way: Callable[[pa.RecordBatch, str], None], rows: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.tfrecord"
        if way is write_examples:
            check_equal(random_rows(1_000), path)
        batch = random_rows(rows)
        return best(lambda: way(batch, path))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument(
        "--tensorflow", action="store_true", help="only the loop, for the process that runs it"
    )
    options = parser.parse_args()
    if options.tensorflow:
        print(seconds_of(write_examples, options.rows))
        return
    ours = seconds_of(write_encoded, options.rows)
    again = [
        sys.executable,
        "-m",
        "benchmarks.tfrecord_encoding",
        "--rows",
        str(options.rows),
        "--tensorflow",
    ]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(again, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    loop = float(done.stdout.split()[-1])
    for name, seconds in (("NumPy encoder", ours), ("tf.train.Example loop", loop)):
        print(f"{name}: {options.rows / seconds:,.0f} rows/s a core")
    print(f"{loop / ours:.1f} times")


if __name__ == "__main__":
    main()
