import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.transforms.parse import MISSING, UNREADABLE, days, orders

EPOCH = datetime.date(1970, 1, 1)
TIMES = [
    "", " 00:00:00", "T00:00", " 22:20:52+00:00", "T22:20:52Z", " 22:20:52.123456 UTC", " 23:59:59.0000000",
    " 23:30:00-0500", " 08:00:00+05:30", " 08:00:00 +02",
]  # fmt: skip
NO_TIMES = [
    " ",
    "T",
    " 24:00:00",
    " 12:60",
    " noon",
    "+00:00",
    " 1:00:00",
    " 12:00:00+99",
    " 12:00:00 PM",
    "x",
]


@given(st.dates(), st.sampled_from(TIMES))
def test_a_time_stamp_is_the_day_that_is_written(day, time):
    assert days(pa.array([f" {day.isoformat()}{time} "])).tolist() == [(day - EPOCH).days]


@pytest.mark.parametrize("time", [time for time in NO_TIMES if time.strip()])
def test_what_follows_a_date_is_a_time(time):
    assert days(pa.array([f"2018-08-03{time}"])).tolist() == [UNREADABLE]


@pytest.mark.parametrize("text", ["2018-02-30 00:00:00", "0000-01-01", "2018-8-3", "20180803", "03/08/2018"])
def test_other_dates_are_unreadable(text):
    assert days(pa.array([text])).tolist() == [UNREADABLE]


def test_orders_are_as_text_is_sorted_but_for_numbers():
    found = orders(pa.array(["Y", "W", "U", "N", "y", "1", "10", "2.0", " 3 ", "1.0E1", "+4", "-5", "007"]))
    ranks = dict(
        zip(("Y", "W", "U", "N", "y", "1", "10", "2", "3", "1.0E1", "4", "-5", "7"), found, strict=True)
    )
    assert ranks.pop("y") == ranks["Y"]
    assert ranks.pop("1.0E1") == ranks["10"] == 10
    assert sorted(ranks, key=ranks.get) == ["-5", "1", "2", "3", "4", "7", "10", "N", "U", "W", "Y"]
    assert max(found) < 2**31


@pytest.mark.parametrize(
    "text", ["99999999999", "2147483647", "1.5", "first", "YN", "é", "9" * 5_000, "1-2", "inf"]
)
def test_orders_that_cannot_be_read(text):
    assert orders(pa.array([text])).tolist() == [UNREADABLE]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1))
def test_numbers_are_read_as_their_text(numbers):
    expected = [MISSING if n is None else n if -(2**31) <= n < 2**31 - 27 else UNREADABLE for n in numbers]
    assert orders(pa.array(numbers, pa.int64())).tolist() == expected
    assert (
        orders(pa.array([None if n is None else str(n) for n in numbers], pa.string())).tolist() == expected
    )


def test_no_orders():
    assert orders(pa.nulls(2, pa.int32())).tolist() == [MISSING] * 2
    assert orders(pa.array(["", None])).tolist() == [MISSING] * 2
