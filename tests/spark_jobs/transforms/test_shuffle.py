from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from schemas.sequences import SPLITS
from spark_jobs.transforms.shuffle import first_places, plan_shards, to_shards, with_place


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


@pytest.fixture(scope="module")
def sequences(spark):
    """999 patients, 800 of them train and 199 test; the token id is the patient's number."""
    rows = spark.range(999).withColumn("split", F.when(F.col("id") < 800, "train").otherwise("test"))
    return rows.select(
        F.col("id").cast("string").alias("patient_id"),
        F.array(F.col("id").cast("int")).alias("token_ids"),
        F.array(F.lit(1)).alias("visit_numbers"),
        (F.col("id") % 2 == 0).alias("prolonged_los"),
        "split",
    )


def _shards(sequences, seed, **options):
    plan = plan_shards({"train": 800, "valid": 0, "test": 199}, **options)
    placed = with_place(sequences, seed)
    shards = to_shards(placed, first_places(placed, plan))
    rows = shards.withColumn("shard", F.spark_partition_id()).collect()
    return plan, [[row.token_ids[0] for row in rows if row.shard == n] for n in range(len(plan.shards))]


@pytest.mark.spark
def test_each_shard_has_exactly_its_rows_and_every_patient_is_in_one(sequences):
    plan, shards = _shards(sequences, 0, rows_per_shard=150, min_shards=4)
    assert plan.shards == tuple(("train", n) for n in range(6)) + tuple(("test", n) for n in range(4))
    assert [len(shard) for shard in shards] == [133, 133, 134, 133, 133, 134, 49, 50, 50, 50]
    assert sorted(chain.from_iterable(shards[:6])) == list(range(800))
    assert sorted(chain.from_iterable(shards[6:])) == list(range(800, 999))


@pytest.mark.spark
def test_order_is_the_seed_s_whatever_the_partitions(sequences):
    options = {"rows_per_shard": 300, "min_shards": 1}
    _, first = _shards(sequences, 0, **options)
    assert first == _shards(sequences.repartition(5), 0, **options)[1]
    _, other = _shards(sequences, 1, **options)
    assert list(chain.from_iterable(first)) != list(chain.from_iterable(other))
    assert first[0] != sorted(first[0])
