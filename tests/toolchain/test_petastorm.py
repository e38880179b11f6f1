"""The mended petastorm: every row arrives, every time, with the right values."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from petastorm import TransformSpec, make_batch_reader
from petastorm.predicates import in_set

NUM_FILES, ROWS_A_FILE = 6, 5
NUM_ROWS = NUM_FILES * ROWS_A_FILE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six small Parquet files, one row group each: `row` counts up, `codes` has three numbers."""
    folder = tmp_path_factory.mktemp("petastorm")
    for part in range(NUM_FILES):
        rows = np.arange(part * ROWS_A_FILE, (part + 1) * ROWS_A_FILE)
        table = pa.table(
            {
                "row": rows,
                "codes": pa.array([[r, r + 1, r + 2] for r in rows], pa.list_(pa.int32())),
                "name": [f"patient {r}" for r in rows],
            }
        )
        pq.write_table(table, folder / f"part-{part:05d}.parquet")
    return folder


def read(url, **options):
    options = {"reader_pool_type": "thread", "workers_count": 2, "num_epochs": 1} | options
    with make_batch_reader(url, **options) as reader:
        return list(reader)


def test_every_row_arrives_however_often_one_reads(folder):
    """Unmended, the thread pool dropped the whole epoch in about one of twenty reads."""
    for _ in range(60):
        rows = np.concatenate([batch.row for batch in read(folder.as_uri())])
        assert sorted(rows) == list(range(NUM_ROWS))


@pytest.mark.parametrize("pool", ["thread", "process", "dummy"])
def test_values_of_lists_and_strings(folder, pool):
    batches = read(folder.as_uri(), reader_pool_type=pool)
    rows = np.concatenate([batch.row for batch in batches])
    codes = np.concatenate([batch.codes for batch in batches])
    assert sorted(rows) == list(range(NUM_ROWS))
    np.testing.assert_array_equal(codes, rows[:, None] + [0, 1, 2])
    assert [str(name) for batch in batches for name in batch.name] == [f"patient {r}" for r in rows]


def test_several_epochs_and_a_list_of_files(folder):
    urls = [path.as_uri() for path in sorted(folder.glob("*.parquet"))]
    rows = np.concatenate([batch.row for batch in read(urls, num_epochs=3)])
    assert sorted(rows) == sorted(list(range(NUM_ROWS)) * 3)


def test_shards_part_the_rows_among_them(folder):
    shards = [
        np.concatenate([batch.row for batch in read(folder.as_uri(), cur_shard=shard, shard_count=2)])
        for shard in range(2)
    ]
    assert sorted(np.concatenate(shards)) == list(range(NUM_ROWS))


def test_a_transform_sees_the_columns(folder):
    spec = TransformSpec(lambda frame: frame[["row"]] * 2, selected_fields=["row"])
    rows = np.concatenate([batch.row for batch in read(folder.as_uri(), transform_spec=spec)])
    assert sorted(rows) == list(range(0, 2 * NUM_ROWS, 2))


def test_folders_of_partitions_become_a_column(folder, tmp_path):
    for split in ("train", "valid"):
        os.makedirs(tmp_path / f"split={split}")
        pq.write_table(pa.table({"row": [1, 2]}), tmp_path / f"split={split}" / "part-0.parquet")
    batches = read(tmp_path.as_uri(), predicate=in_set({"valid"}, "split"))
    assert [sorted(batch.row) for batch in batches] == [[1, 2]]
    assert {str(name) for batch in batches for name in batch.split} == {"valid"}


def test_what_is_not_mended_says_what_to_do(folder):
    with pytest.raises(NotImplementedError, match="predicate="):
        read(folder.as_uri(), filters=[("row", "=", 1)])
    with pytest.raises(NotImplementedError, match="filesystem="):
        read("hdfs://namenode:8020/data")


def test_an_error_in_a_worker_is_raised_and_not_printed(folder, capfd):
    def fail(rows):
        raise ValueError("no such rows")

    with pytest.raises(ValueError, match="no such rows"):
        read(folder.as_uri(), workers_count=1, transform_spec=TransformSpec(fail))
    assert "Traceback" not in capfd.readouterr().err
