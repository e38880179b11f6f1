from hypothesis import given
from hypothesis import strategies as st

from schemas.small_cells import in_words, merge_small_bins, publishable, publishable_share


def test_a_small_cell_is_hidden_and_others_are_rounded():
    assert [publishable(57, patients) for patients in (1, 10, 11, 50)] == [None, None, 60, 60]
    assert [publishable(number, 11) for number in (11, 14, 15)] == [11, 11, 20]
    assert publishable(0, 0) == 0


def test_a_share_is_hidden_where_too_few_have_it_or_have_it_not():
    having = (0, 10, 11, 292, 293, 303)
    shown = [publishable_share(number / 303, 303) is not None for number in having]
    assert shown == [False, False, True, True, False, False]


def test_a_small_number_of_rows_has_no_number_in_words():
    assert list(map(in_words, (0, 1, 10, 11, 37, 12_345))) == [
        "no", "fewer than 11", "fewer than 11", "about 11", "about 40", "about 12,350",
    ]  # fmt: skip


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
