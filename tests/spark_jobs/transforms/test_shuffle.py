from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from schemas.sequences import SPLITS
from spark_jobs.transforms.scattering import gather
from spark_jobs.transforms.shuffle import (
    SHARD_COLUMNS,
    first_places,
    in_order,
    places_of,
    plan_shards,
    to_shards,
)


@given(
    patients=st.lists(st.integers(0, 500), min_size=3, max_size=3),
    rows_per_shard=st.integers(1, 200),
    min_shards=st.integers(1, 12),
)
def test_shards_are_even_and_none_is_empty(patients, rows_per_shard, min_shards):
    of_split = dict(zip(SPLITS, patients, strict=True))
    plan = plan_shards(of_split, rows_per_shard, min_shards)
    ends = [*plan.starts, sum(patients)][1:]
    sizes = [end - start for start, end in zip(plan.starts, ends, strict=True)]
    for split, count in of_split.items():
        own = [size for size, (name, _) in zip(sizes, plan.shards, strict=True) if name == split]
        assert sum(own) == count
        assert len(own) >= min(min_shards, count)
        if own:
            assert min(own) >= 1
            assert max(own) <= min(min(own) + 1, rows_per_shard)


def patients(split, first, stop):
    """Their token id is their number."""
    numbers = range(first, stop)
    columns = [
        pa.array([str(number) for number in numbers]),
        pa.array([[number] for number in numbers], pa.list_(pa.int32())),
        pa.array([[1] for _ in numbers], pa.list_(pa.int32())),
        pa.array([number % 2 == 0 for number in numbers]),
    ]
    return split, pa.RecordBatch.from_arrays(columns, names=list(SHARD_COLUMNS))


WHOLE = [patients("train", 0, 800), patients("test", 800, 999)]
IN_PIECES = [patients("test", 900, 999), patients("train", 0, 799), patients("test", 800, 900)]
IN_PIECES.append(patients("train", 799, 800))


def _shards(spark, files, seed, **options):
    """The plan, and the patients of each shard in order."""
    plan = plan_shards({"train": 800, "valid": 0, "test": 199}, **options)
    places = [places_of(rows["patient_id"], split, seed) for split, rows in files]
    frame = spark.createDataFrame(pa.table({"place": np.concatenate(places)}))
    first = first_places(frame, plan)
    pieces = [
        piece
        for (_, rows), found in zip(files, places, strict=True)
        for piece in to_shards(rows, found, first)
    ]
    shards = [[piece for piece in pieces if piece["partition"][0].as_py() == n] for n in range(len(first))]
    rows = [in_order(gather(iter(shard))) for shard in shards]
    assert all(shard.schema.names == ["token_ids", "visit_numbers", "prolonged_los"] for shard in rows)
    return plan, [[tokens[0] for tokens in shard["token_ids"].to_pylist()] for shard in rows]


@pytest.mark.spark
def test_a_place_is_the_split_and_sparks_hash_of_seed_and_patient(spark):
    ids = ["", "p1", "ümläut", "x" * 100]
    frame = spark.createDataFrame([(one,) for one in ids], "patient string")
    hashed = frame.select(F.shiftrightunsigned(F.xxhash64(F.concat(F.lit("7/"), "patient")), 4).alias("h"))
    expected = [(2 << 60) + row.h for row in hashed.collect()]
    assert places_of(pa.array(ids), "test", 7).tolist() == expected


@pytest.mark.spark
def test_each_shard_has_exactly_its_rows_and_every_patient_is_in_one(spark):
    plan, shards = _shards(spark, WHOLE, 0, rows_per_shard=150, min_shards=4)
    assert plan.shards == tuple(("train", n) for n in range(6)) + tuple(("test", n) for n in range(4))
    assert [len(shard) for shard in shards] == [133, 133, 134, 133, 133, 134, 49, 50, 50, 50]
    assert sorted(chain.from_iterable(shards[:6])) == list(range(800))
    assert sorted(chain.from_iterable(shards[6:])) == list(range(800, 999))


@pytest.mark.spark
def test_order_is_the_seed_s_whatever_the_files(spark):
    options = {"rows_per_shard": 300, "min_shards": 1}
    _, first = _shards(spark, WHOLE, 0, **options)
    assert first == _shards(spark, IN_PIECES, 0, **options)[1]
    _, other = _shards(spark, WHOLE, 1, **options)
    assert list(chain.from_iterable(first)) != list(chain.from_iterable(other))
    assert first[0] != sorted(first[0])
