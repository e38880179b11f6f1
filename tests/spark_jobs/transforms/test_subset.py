"""Subsets of patients: which ones, and what is left out."""

import numpy as np
import pyarrow as pa
import pytest

from spark_jobs.transforms.hashing import xxh64
from spark_jobs.transforms.splits import split_of
from spark_jobs.transforms.subset import HASH, HASH_DDL, Subset, find_subset, hashes_of_rows, subset_hashes

PATIENTS = [f"p{n}" for n in range(200)]
ROWS = pa.array([patient for n, patient in enumerate(PATIENTS) for _ in range(n % 5 + 1)] + [""] * 9)


@pytest.fixture
def hashes(spark):
    return spark.createDataFrame(hashes_of_rows(ROWS).to_pylist(), HASH_DDL).repartition(3)


@pytest.mark.spark
@pytest.mark.parametrize("most", [1, 2, 77, 199, 200, 500])
def test_the_patients_of_the_smallest_hash(hashes, most):
    subset = find_subset(hashes, most)
    ranked = sorted(PATIENTS, key=lambda patient: subset_hashes(pa.array([patient]))[0])
    chosen = set(ranked[:most])
    assert set(ROWS.filter(pa.array(subset.has(ROWS))).to_pylist()) == chosen | {""}
    assert subset.rows_left_out == sum(patient not in chosen | {""} for patient in ROWS.to_pylist())


@pytest.mark.spark
def test_spark_s_hash_is_ours(spark):
    from pyspark.sql import functions as F

    from spark_jobs.transforms.subset import subset_hash

    ids = ["1", "ümläut", "-3210373572193940939"]
    found = spark.createDataFrame([(text,) for text in ids], "id string").select(
        "id", subset_hash(F.col("id"))
    )
    assert dict(found.collect()) == dict(zip(ids, subset_hashes(pa.array(ids)).tolist(), strict=True))


@pytest.mark.spark
def test_no_rows(spark):
    assert find_subset(spark.createDataFrame([], HASH_DDL), 3).rows_left_out == 0


def test_a_subset_has_its_share_of_each_split_and_partition():
    patients = pa.array([f"{n}" for n in range(50_000)])
    hashes = subset_hashes(patients)
    within = Subset(int(np.sort(hashes)[4_999]), 0).has(patients)
    assert within.sum() == 5_000
    shares = np.bincount(split_of("split", patients)[within], minlength=3) / 5_000
    assert np.abs(shares - [0.7, 0.1, 0.2]).max() < 0.03
    of_partitions = np.bincount(xxh64(patients)[within] % 16, minlength=16)
    assert of_partitions.min() > 200  # 312 each, give or take 17


def test_the_column_is_that_of_the_rows():
    assert hashes_of_rows(pa.array(["", "a", "a"])).schema.names == [HASH]
    assert (
        hashes_of_rows(pa.array(["", "a", "a"]))[HASH].to_pylist()
        == subset_hashes(pa.array(["a", "a"])).tolist()
    )
