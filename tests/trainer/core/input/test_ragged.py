from __future__ import annotations

import numpy as np

from tests.trainer.core.input.batches import patients_of, ragged, random_batch
from trainer.core.input.ragged import concatenate, cut, empty_batch, ranges, take


def test_ranges():
    assert ranges(np.asarray([5, 0, 9]), np.asarray([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ranges(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_take_and_concatenate_move_whole_patients():
    batch = random_batch(20)
    rows = np.asarray([3, 3, 19, 0])
    everyone = patients_of(batch)
    taken = take(batch, rows)
    assert patients_of(taken) == [everyone[row] for row in rows]
    assert patients_of(concatenate([taken, empty_batch(), batch])) == patients_of(taken) + everyone


def test_cut_keeps_the_latest_codes_and_numbers_their_visits_from_1():
    batch = ragged([[10, 11, 12, 13, 14], [20, 21]], [[1, 1, 2, 2, 4], [1, 2]])
    shortened, num_cut = cut(batch, 3)
    assert num_cut == 1
    assert [p[:2] for p in patients_of(shortened)] == [([12, 13, 14], [1, 1, 3]), ([20, 21], [1, 2])]
    assert shortened.prolonged_los.tolist() == batch.prolonged_los.tolist()


def test_cut_in_the_middle_of_a_visit():
    shortened, _ = cut(ragged([[10, 11, 12]], [[1, 2, 2]]), 1)
    assert [p[:2] for p in patients_of(shortened)] == [([12], [1])]


def test_cut_leaves_short_patients_alone():
    batch = random_batch(10, longest=30)
    assert cut(batch, 30)[0] is batch
    assert cut(empty_batch(), 5)[1] == 0
