from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spark_jobs.transforms.splits import split_of
from tests.spark_jobs import reference


def test_the_reference_hash_is_xxh64():
    # Test vectors of the specification, seed 0.
    assert reference.xxh64(b"", 0) % 2**64 == 0xEF46DB3751D8E999
    assert reference.xxh64(b"Nobody inspects the spammish repetition", 0) % 2**64 == 0xFBCEA83C8A378BF1


@pytest.mark.spark
def test_equals_plain_python_and_is_near_7_1_2(spark):
    patients = [*(str(number) for number in range(5000)), "", "ümläut", "-906646134871075", "x" * 100]
    rows = spark.createDataFrame([(patient,) for patient in patients], "patient_id string")
    got = {
        row.patient_id: row.split
        for row in rows.select("patient_id", split_of("salt").alias("split")).collect()
    }
    assert got == {patient: reference.split_of("salt", patient) for patient in patients}
    shares = {split: count / len(patients) for split, count in Counter(got.values()).items()}
    assert shares == pytest.approx({"train": 0.7, "valid": 0.1, "test": 0.2}, abs=0.03)


@pytest.mark.spark
@settings(max_examples=15, deadline=None, phases=[Phase.generate])  # each is a Spark job: no shrinking
@given(salt=st.text(max_size=40), patients=st.lists(st.text(max_size=80), min_size=1, max_size=40))
def test_equals_plain_python_for_any_text(spark, salt, patients):
    rows = spark.createDataFrame([(patient,) for patient in patients], "patient_id string")
    got = [row.split for row in rows.select(split_of(salt).alias("split")).collect()]
    assert got == [reference.split_of(salt, patient) for patient in patients]


@pytest.mark.spark
def test_another_salt_gives_another_split(spark):
    rows = spark.range(1000).selectExpr("cast(id as string) as patient_id")
    same = rows.where(split_of("one") == split_of("two")).count()
    assert same / 1000 == pytest.approx(0.54, abs=0.08)  # 0.7² + 0.1² + 0.2²
