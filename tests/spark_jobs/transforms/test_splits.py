from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sequences import SPLITS
from spark_jobs.transforms.splits import split_of
from tests.spark_jobs import reference


def splits(salt: str, patients: list[str]) -> list[str]:
    return [SPLITS[number] for number in split_of(salt, pa.array(patients, pa.string()))]


def test_the_reference_hash_is_xxh64():
    # Test vectors of the specification, seed 0.
    assert reference.xxh64(b"", 0) % 2**64 == 0xEF46DB3751D8E999
    assert reference.xxh64(b"Nobody inspects the spammish repetition", 0) % 2**64 == 0xFBCEA83C8A378BF1


def test_equals_plain_python_and_is_near_7_1_2():
    patients = [*(str(number) for number in range(5000)), "", "ümläut", "-906646134871075", "x" * 100]
    got = splits("salt", patients)
    assert got == [reference.split_of("salt", patient) for patient in patients]
    shares = {split: count / len(patients) for split, count in Counter(got).items()}
    assert shares == pytest.approx({"train": 0.7, "valid": 0.1, "test": 0.2}, abs=0.03)


@given(salt=st.text(max_size=40), patients=st.lists(st.text(max_size=80), max_size=40))
def test_equals_plain_python_for_any_text(salt, patients):
    assert splits(salt, patients) == [reference.split_of(salt, patient) for patient in patients]


@pytest.mark.spark
def test_is_the_hash_that_spark_has(spark):
    patients = [str(number) for number in range(1000)]
    rows = spark.createDataFrame([(patient,) for patient in patients], "id string")
    tenths = rows.selectExpr("pmod(xxhash64(concat('salt/', id)), 10) as tenth").collect()
    limits = ["train"] * 7 + ["valid"] + ["test"] * 2
    assert splits("salt", patients) == [limits[row.tenth] for row in tenths]


def test_another_salt_gives_another_split():
    patients = [str(number) for number in range(1000)]
    pairs = zip(splits("one", patients), splits("two", patients), strict=True)
    assert sum(a == b for a, b in pairs) / 1000 == pytest.approx(0.54, abs=0.08)  # 0.7² + 0.1² + 0.2²
