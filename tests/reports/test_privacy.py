import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.privacy import PatientCounts, merge_small_bins


def test_numbers_are_exact_while_no_group_is_small():
    counts = PatientCounts.for_cells([0, 11, 20_000])
    assert counts.show(20_000) == "20,000"
    assert counts.show(0) == "0"
    assert counts.value(1234) == 1234
    assert counts.mean(100, 8) == "12.5"


@pytest.mark.parametrize("small", [1, 10])
def test_one_small_group_rounds_every_number(small):
    counts = PatientCounts.for_cells([small, 97])
    assert counts.show(small) == "fewer than 11"
    assert counts.show(97) == "about 100"
    assert counts.show(0) == "0"
    assert counts.mean(500, 97) == "5"
    assert counts.mean(500, 4) == "–"


def test_small_bins_join_their_neighbours():
    assert merge_small_bins([1, 2, 4, 8, 16], [0, 12, 50, 14]) == ([1, 2, 4, 8, 16], [0, 12, 50, 14])
    assert merge_small_bins([1, 2, 4, 8, 16, 32], [0, 12, 50, 9, 0]) == ([1, 2, 4, 16, 32], [0, 12, 59, 0])
    assert merge_small_bins([1, 2, 4, 8, 16], [3, 0, 50, 4]) == ([1, 16], [57])
    assert merge_small_bins([1, 2, 4], [3, 2])[1] == []


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12))
def test_no_bin_is_small_and_no_patient_is_lost(patients):
    edges, merged = merge_small_bins(list(range(len(patients) + 1)), patients)
    assert not any(0 < number < 11 for number in merged)
    assert sum(merged) == (sum(patients) if merged else 0)
    assert len(edges) == len(merged) + 1
    assert edges == sorted(set(edges))
    if merged:
        assert (edges[0], edges[-1]) == (0, len(patients))
    else:
        assert sum(patients) < 11
