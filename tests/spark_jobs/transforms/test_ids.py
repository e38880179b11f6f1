import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.transforms.ids import EXACT, EXACT_32, named_visits, plain_ids, whole_number

EXACT_ONES = st.integers(-EXACT + 1, EXACT - 1)
OTHERS = [
    "00123",
    "00123.0",
    "A.1",
    "1E5",
    "12E3",
    "1.2.840",
    "1..2",
    ".5",
    "-",
    "1e-5",
    "1_000.0",
    "٣.0",
    "e+1",
]
UNREADABLE = [
    "12.5", "0.1", "1.0E-3", "inf", "-Infinity", "1.0E400", "1e+16", "9007199254740992.0",
    "-3.2E18",
    "1.15967E+08",  # digits cut off
    "1e+05",
]  # fmt: skip
# What Python, Java, C and a column of decimals make of 115967095.
SPELLINGS = [
    "115967095",
    "115967095.0",
    "1.15967095E8",
    "1.15967095e+08",
    "1.159670950000000000e+08",
    "115967095.00",
]


def _as_java(number: int) -> str:
    digits = str(abs(number)).rstrip("0") or "0"
    exponent = len(str(abs(number))) - 1
    return f"{'-' if number < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _spellings(number: int) -> list[str]:
    return [
        str(number), f"{number}.0", f"{number}.", f"{Decimal(number):.2f}", repr(float(number)),
        _as_java(number), f"{number:.17e}", f"{number:.17E}",
    ]  # fmt: skip


@given(EXACT_ONES)
def test_every_spelling_of_a_number_is_one_id(number):
    assert {whole_number(text) for text in _spellings(number)} == {str(number)}


@given(st.one_of(st.text(), st.sampled_from(OTHERS + SPELLINGS), EXACT_ONES.map(lambda n: f"{n}.0")))
def test_an_id_is_its_own_id(text):
    once = whole_number(text)
    assert once is None or whole_number(once) == once


@pytest.mark.parametrize("text", OTHERS)
def test_text_that_is_no_float_s_stays(text):
    assert whole_number(text) == text


@given(st.floats(allow_nan=False).filter(lambda number: "." in repr(number) or not 0 < abs(number) < 1))
def test_what_is_not_whole_or_not_exact_is_unreadable(number):
    good = math.isfinite(number) and number == int(number) and abs(number) < EXACT
    assert whole_number(repr(number)) == (str(int(number)) if good else None)


def test_columns_of_text():
    ids = [*SPELLINGS, *OTHERS, *UNREADABLE, None, ""]
    for ids_there in (ids, [None], [], [None, "7.0"], ids[3:9]):
        for column in (
            pa.array(ids_there, pa.string()),
            pa.array(["x.5", *ids_there, "y"], pa.string())[1:-1],
        ):
            found, unreadable = plain_ids(column)
            expected = [text and whole_number(text) for text in ids_there]
            assert found.to_pylist() == [
                text if plain is None else plain for text, plain in zip(ids_there, expected, strict=True)
            ]
            marked = [] if unreadable is None else [n for n, is_marked in enumerate(unreadable) if is_marked]
            assert marked == [n for n, text in enumerate(ids_there) if text in UNREADABLE]


def test_visits_that_are_none():
    visits = pa.array(["0", "000", "-1", "", None, "10", "-10", "0a", "1"], pa.string())
    assert named_visits(visits).to_pylist() == [None] * 5 + ["10", "-10", "0a", "1"]


@pytest.mark.spark
def test_spark_finds_the_same(spark):
    from pyspark.sql import functions as F

    from spark_jobs.sources.raw import with_plain_ids
    from spark_jobs.transforms.ids import named_visit

    texts = [*SPELLINGS, *OTHERS, *UNREADABLE, None, "", "nan", " 7.0\t", "7.0\u3000", "0", "-1", "00"]
    rows = spark.createDataFrame([(text, text) for text in texts], "own string, id string")
    found = with_plain_ids(rows, ["id"]).withColumn("visit", named_visit(F.col("id"))).collect()
    for row in found:
        plain = row.own and whole_number(row.own.strip())
        assert (row.id and row.id.strip()) == (row.own and row.own.strip() if plain is None else plain), row
        assert row["__unreadable_id"] == (row.own is not None and plain is None)
        if not row["__unreadable_id"] and row.id:
            assert row.visit == named_visits(pa.array([row.id])).to_pylist()[0]


@pytest.mark.spark
def test_numbers_of_every_type(spark):
    from spark_jobs.sources.raw import with_plain_ids

    numbers = [115967095, EXACT_32 - 1, EXACT_32 + 1, EXACT - 1, EXACT + 1, -7, 0]
    rows = spark.createDataFrame([(n, float(n), float(n), Decimal(n)) for n in numbers],
                                 "i bigint, d double, f float, m decimal(38, 2)")  # fmt: skip
    plain = with_plain_ids(rows, ["i", "d", "f", "m", "not there"]).collect()
    assert [row.i for row in plain] == numbers  # whole numbers keep their type
    assert [row.m for row in plain] == list(map(str, numbers))
    for row, number in zip(plain, numbers, strict=True):
        assert row["__unreadable_d"] == (abs(number) >= EXACT)
        assert row["__unreadable_f"] == (abs(number) >= EXACT_32)
        assert not row["__unreadable_i"] and not row["__unreadable_m"]
        assert row["__unreadable_d"] or row.d == str(number)
        assert row["__unreadable_f"] or row.f == str(number)
    odd = spark.sql("SELECT double('NaN') n, float('inf') e, 12.5D h, CAST(12.5 AS DECIMAL(9, 2)) m")
    (row,) = with_plain_ids(odd, ["n", "e", "h", "m"]).collect()
    assert (row.n, row["__unreadable_n"]) == (None, False)  # a missing value
    assert (row.e, row.h, row.m) == ("Infinity", "12.5", "12.50")  # as they are, for who looks at the row
    assert row["__unreadable_e"] and row["__unreadable_h"] and row["__unreadable_m"]
