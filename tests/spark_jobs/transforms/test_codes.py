import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from schemas.codes import normalise_code
from spark_jobs.transforms.codes import WHITE_SPACE, empty_as_null, normalised_code
from tests.spark_jobs import reference
from tests.spark_jobs.raw_codes import raw_codes

SYSTEMS = ("ICD9CM", "ICD10CM", "CCS", "LOCAL")
NASTY = [
    "", " ", "\t\n", "\u00a0E11.9\u3000", "\u2003250.00\u2028", "e11.9\n", "E11\n9", "E11.9\x00",
    "ı10", "ſ72", "K25", "ＥＡ１", "٢٥٠", "E1١.9", "...", "E.1.1.9", ".E119.", "E11.9;DROP",
    "ICD10_E11", "//", "A//B", "日本", "🙂", "a\u2029b", "\x85E11", "\x1cE119\x1f", "v45.81",
    "E8000", "E88", "E800.05", "V4", "0", "00", "000", "00000", "000000", "I10", "Z9981ABC", "ß10",
    "A0ﬁ", "a" * 5000,
]  # fmt: skip


def _random_codes(rng: random.Random, count: int) -> list[str]:
    alphabets = ["0123456789", "EV0123456789.", "ABCDEFSTZ0123456789. ", "abcxyz0189.", WHITE_SPACE + "E1.9"]
    return ["".join(rng.choices(rng.choice(alphabets), k=rng.randint(0, 8))) for _ in range(count)]


def _expected(system: str, raw: str) -> str | None:
    try:
        return normalise_code(system, raw)
    except ValueError:
        return None


@pytest.mark.spark
def test_equals_the_contract_s_function_on_random_and_nasty_codes(spark):
    rng = random.Random(7)
    cases = [(system, raw) for raw in NASTY + _random_codes(rng, 3000) for system in SYSTEMS]
    rows = spark.createDataFrame(cases, "system string, raw string")
    code = empty_as_null(F.col("raw"))
    got = rows.select("system", "raw", normalised_code(F.col("system"), code).alias("code")).collect()
    differing = [(row.system, row.raw, row.code) for row in got if row.code != _expected(row.system, row.raw)]
    assert not differing
    assert sum(row.code is not None for row in got) > 3000


@pytest.mark.spark
@settings(max_examples=15, deadline=None, phases=[Phase.generate])  # each is a Spark job: no shrinking
@given(cases=st.lists(st.tuples(st.sampled_from(SYSTEMS), raw_codes), min_size=1, max_size=40))
def test_equals_plain_python(spark, cases):
    rows = spark.createDataFrame(cases, "system string, raw string")
    code = empty_as_null(F.col("raw"))
    got = rows.select(normalised_code(F.col("system"), code).alias("code")).collect()
    assert [row.code for row in got] == [reference.normalised_code(system, raw) for system, raw in cases]


def test_white_space_is_python_s():
    assert {chr(n) for n in range(0x110000) if chr(n).isspace()} == set(WHITE_SPACE)
