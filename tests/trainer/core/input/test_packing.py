import numpy as np
import pytest

from trainer.core.input.packing import MULTIPLE, pack


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
    ((piece,),) = packing.parts
    for start, length in zip(packing.starts, lengths, strict=True):
        (rows,) = [rows for rows in piece.rows if rows.start <= start < rows.stop]
        assert (start - rows.start) // rows.width == (start + length - 1 - rows.start) // rows.width


def test_rows_of_a_width_follow_each_other_and_come_in_multiples():
    ((piece,),) = pack(np.array([3, 30, 40, 60, 100, 500, 4])).parts
    assert [rows.width for rows in piece.rows] == [32, 64, 128, 512]
    assert [rows.start for rows in piece.rows] == [0, *(rows.stop for rows in piece.rows[:-1])]
    for rows in piece.rows:
        assert (rows.count * rows.width) % MULTIPLE == 0


@pytest.mark.parametrize("hands", [1, 2, 3])
@pytest.mark.parametrize("max_slots", [1, 512, 1_000, 5_000, 1_000_000])
def test_parts_are_as_few_as_there_can_be_and_their_pieces_alike(max_slots, hands):
    lengths = like_claims(600, 0)
    packing = pack(lengths, max_slots, hands)
    used = places_of(packing, lengths)
    assert used.max() == 1 and used.sum() == lengths.sum()
    pieces = [piece for part in packing.parts for piece in part]
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    for start, length in zip(packing.starts, lengths, strict=True):
        assert any(piece.start <= start and start + length <= piece.stop for piece in pieces)
    sizes = [sum(piece.stop - piece.start for piece in part) for part in packing.parts]
    units = [sum(rows.count * rows.width for piece in part for rows in piece.rows) for part in packing.parts]
    assert sizes == units
    assert all(len(part) <= hands for part in packing.parts)
    if max_slots >= 1_000:
        assert max(sizes) <= max_slots
        assert len(sizes) <= -(-packing.num_slots // (max_slots - 512))  # but for a unit of rows
        assert max(sizes) - min(sizes) <= 2 * hands * 512
        slots = [piece.stop - piece.start for part in packing.parts for piece in part]
        assert max(slots) - min(slots) <= 512


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
