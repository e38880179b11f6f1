import pytest

from reports.privacy import ShownCounts


def test_numbers_are_exact_while_no_group_is_small():
    counts = ShownCounts.for_cells([0, 11, 20_000])
    assert counts.show(20_000) == "20,000"
    assert counts.show(0) == "0"
    assert counts.value(1234) == 1234
    assert counts.mean(100, 16) == "6.25"
    assert counts.mean(100, 8) == "–"


@pytest.mark.parametrize("small", [1, 10])
def test_one_small_group_rounds_every_number(small):
    counts = ShownCounts.for_cells([small, 97])
    assert counts.show(small) == "fewer than 11"
    assert counts.show(97) == "about 100"
    assert counts.show(0) == "0"
    assert counts.mean(500, 97) == "5"
    assert counts.mean(500, 4) == "–"
