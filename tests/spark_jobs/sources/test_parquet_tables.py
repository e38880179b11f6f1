"""Parquet files of one table whose columns have several types."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from schemas.errors import ContractError
from spark_jobs.sources.tables import RawInput

pytestmark = pytest.mark.spark

DAY = datetime.datetime(2020, 1, 2)
LATE = datetime.datetime(2019, 12, 31, 23, 59, 59, 999_999)
HOLD_EACH_OTHER = {
    "int64 and float64": (
        [pa.array([12345678]), pa.array([12345678.0, None])],
        ["12345678", "12345678", None],
    ),
    "two integers": ([pa.array([1], pa.int32()), pa.array([2], pa.int64())], [1, 2]),
    "a decimal": ([pa.array([7]), pa.array([Decimal("7.00")])], ["7", "7"]),
    "not exact": ([pa.array([7]), pa.array([2.0**53])], ["7", "9.007199254740992E15"]),
    "a broken number": ([pa.array([7]), pa.array([7.5])], ["7", "7.5"]),
    "beyond exact floats": ([pa.array([2**53 + 1]), pa.array([1.0])], [str(2**53 + 1), "1"]),
    "nothing and text": ([pa.nulls(1), pa.array(["x"])], [None, "x"]),
    "nothing and a date": ([pa.nulls(1), pa.array([DAY.date()])], [None, DAY.date()]),
    "kinds of text": (
        [pa.array(["a"]), pa.array(["b"], pa.large_string()), pa.array(["c"]).dictionary_encode()],
        ["a", "b", "c"],
    ),
    "a date and a time": ([pa.array([DAY.date()]), pa.array([DAY], pa.timestamp("us"))], [DAY, DAY]),
    "units of time": ([pa.array([LATE], pa.timestamp(unit)) for unit in ("us", "ns")], [LATE, LATE]),
    "before 1970": (
        [pa.array([datetime.datetime(1960, 5, 5)], pa.timestamp(unit)) for unit in ("ns", "ms")],
        [datetime.datetime(1960, 5, 5)] * 2,
    ),
    "UTC and no zone": ([pa.array([DAY], pa.timestamp("us", zone)) for zone in ("UTC", None)], [DAY, DAY]),
    "text and a date": ([pa.array(["2020-01-02"]), pa.array([DAY.date()])], ["2020-01-02"] * 2),
    "text and a time": ([pa.array(["2020-01-02"]), pa.array([DAY], pa.timestamp("ns"))], ["2020-01-02"] * 2),
}
LOSE = {
    "text and integers": [pa.array(["0380"]), pa.array([380])],
    "int64 and 32 bits of float": [pa.array([31251999]), pa.array([31251999.0], pa.float32())],
    "text and floats": [pa.array(["4280"]), pa.array([4280.0])],
    "a truth value and text": [pa.array([True]), pa.array(["x"])],
    "a list": [pa.array([["I10"]]), pa.array(["I10"])],
}


def _write(folder, columns) -> str:
    folder.mkdir()
    for number, column in enumerate(columns):
        table = pa.table({"Id ": pa.array([number] * len(column)), "x": column})
        pq.write_table(table, folder / f"{number}.parquet")
    return str(folder)


def test_types_of_which_one_holds_the_other(spark, tmp_path):
    for number, (name, (columns, expected)) in enumerate(HOLD_EACH_OTHER.items()):
        folder = _write(tmp_path / str(number), columns)
        rows = RawInput(spark, folder).read(needed=["x"])
        in_order = rows.orderBy("id", F.col("x").asc_nulls_last())
        assert [row["x"] for row in in_order.collect()] == expected, name


def test_types_that_lose_something_are_an_error_where_they_are_read(spark, tmp_path):
    for number, (name, columns) in enumerate(LOSE.items()):
        folder = _write(tmp_path / str(number), columns)
        with pytest.raises(ContractError, match=r"column x is \S+ in \S+0.parquet, and \S+ in \S+1.parquet"):
            RawInput(spark, folder).read(needed=["x"])
        assert RawInput(spark, folder).read(needed=["id"]).count() == 2, name


def test_a_column_that_some_files_lack(spark, tmp_path):
    folder = _write(tmp_path / "x", [pa.array(["a"]), pa.array(["b"])])
    pq.write_table(pa.table({"id": [3]}), tmp_path / "x" / "3.parquet")
    with pytest.raises(ContractError, match=r"column x is in \S+0.parquet, and not in \S+3.parquet"):
        RawInput(spark, folder).read(needed=["id", "x"])
    rows = RawInput(spark, folder, options={"mergeSchema": True}).read(needed=["id", "x"])
    assert sorted(str(row["x"]) for row in rows.collect()) == ["None", "a", "b"]


@pytest.mark.parametrize("content", [b"# These are claims\n", b"", b"PAR1"])
def test_files_that_are_no_data_are_named(spark, tmp_path, content):
    folder = _write(tmp_path / "x", [pa.array(["a"])])
    (tmp_path / "x" / "_README").write_bytes(content)
    assert RawInput(spark, folder).read(needed=["x"]).count() == 1
    (tmp_path / "x" / "README").write_bytes(content)
    with pytest.raises(ContractError, match=r"x/README is not a Parquet file"):
        RawInput(spark, folder).read(needed=["x"])


def test_partitions_keep_their_columns(spark, tmp_path):
    for year, column in ((2019, pa.array([1])), (2020, pa.array([2.0]))):
        (tmp_path / f"year={year}").mkdir()
        pq.write_table(pa.table({"x": column}), tmp_path / f"year={year}" / "0.parquet")
    rows = RawInput(spark, str(tmp_path)).read(needed=["x", "year"])
    assert sorted((row["year"], row["x"]) for row in rows.collect()) == [(2019, "1"), (2020, "2")]


def test_a_zone_s_own_day(spark, tmp_path):
    """23:30 in New York is the next day in UTC."""
    evening = datetime.datetime(2020, 7, 1, 23, 30)
    instants = [datetime.datetime(2020, 7, 2, 3, 30, tzinfo=datetime.UTC)]
    for unit in ("us", "ns"):
        column = pa.array(instants, pa.timestamp(unit, "America/New_York"))
        pq.write_table(pa.table({"x": column}), tmp_path / f"{unit}.parquet")
        rows = RawInput(spark, str(tmp_path / f"{unit}.parquet")).read()
        assert [row["x"] for row in rows.collect()] == [evening]
