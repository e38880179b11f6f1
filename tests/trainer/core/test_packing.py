import numpy as np
import pytest

from trainer.core.packing import MULTIPLE, pack


def places_of(packing, lengths):
    """(number of slots) how many patients have each slot."""
    used = np.zeros(packing.num_slots, int)
    for start, length in zip(packing.starts, lengths, strict=True):
        used[start : start + length] += 1
    return used


def like_claims(patients, seed):
    rng = np.random.default_rng(seed)
    return np.clip(rng.lognormal(np.log(17), 0.65, patients).astype(int), 4, 512)


@pytest.mark.parametrize(
    "lengths",
    [[1], [32], [33], [512, 1, 1], [5] * 100, [31, 1] * 40, list(range(1, 200)), [700, 3]],
    ids=str,
)
def test_every_patient_has_slots_of_its_own_in_one_row(lengths):
    packing = pack(np.array(lengths))
    used = places_of(packing, lengths)
    assert used.max() == 1 and used.sum() == sum(lengths)
    for start, length in zip(packing.starts, lengths, strict=True):
        (rows,) = [rows for rows in packing.rows if rows.start <= start < rows.stop]
        assert (start - rows.start) // rows.width == (start + length - 1 - rows.start) // rows.width


def test_rows_of_a_width_follow_each_other_and_come_in_multiples():
    packing = pack(np.array([3, 30, 40, 60, 100, 500, 4]))
    assert [rows.width for rows in packing.rows] == [32, 64, 128, 512]
    assert [rows.start for rows in packing.rows] == [0, *(rows.stop for rows in packing.rows[:-1])]
    for rows in packing.rows:
        assert (rows.count * rows.width) % MULTIPLE == 0


@pytest.mark.parametrize(("patients", "least"), [(256, 0.88), (512, 0.94), (2048, 0.97)])
def test_few_slots_stay_empty(patients, least):
    for seed in range(5):
        lengths = like_claims(patients, seed)
        assert lengths.sum() / pack(lengths).num_slots > least


def test_the_same_lengths_are_placed_the_same():
    lengths = like_claims(300, 1)
    np.testing.assert_array_equal(pack(lengths).starts, pack(lengths).starts)


def test_nobody_needs_no_rows():
    assert pack(np.zeros(0, int)).num_slots == 0
