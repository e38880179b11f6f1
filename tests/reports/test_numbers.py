import pytest

from reports.numbers import NONE, number, percentage, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, NONE),
        (0, "0"),
        (0.12345, "0.123"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (2.1e-6, "2.1e-6"),
        (1e-4, "1e-4"),
    ],
)
def test_number(value, shown):
    assert number(value) == shown


def test_percentage_and_size():
    assert percentage(0.4816) == "48.2%"
    assert percentage(None) == NONE
    assert [size(n) for n in (999, 1500, 2_000_000, 3 * 10**12)] == ["999 B", "1.5 kB", "2.0 MB", "3.0 TB"]
