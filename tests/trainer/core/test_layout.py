from __future__ import annotations

import itertools

import numpy as np
import pytest

from schemas.vocabulary import STANDARD_SPECIAL_TOKENS
from tests.trainer.core.batches import patients_of, random_batch
from tests.trainer.small_models import make_block
from trainer.config import MaskingConfig
from trainer.core import layout
from trainer.core.layout import block_cuts, deal, lay_out, parts_of
from trainer.core.masking import Masker, training_key
from trainer.core.ragged import empty_batch


def num_slots(blocks):
    return sum(block.input_ids.size for block in blocks)


def masked(batch):
    return Masker(MaskingConfig(), STANDARD_SPECIAL_TOKENS, 500).mask(batch, training_key(0, 0))


def unmasked_patients(blocks):
    """(codes before masking, visits, label) of each patient of the blocks."""
    found = []
    for block in blocks:
        ids = block.input_ids.copy()
        ids.flat[block.masked_positions] = block.masked_labels
        for row, length in enumerate(block.lengths):
            found.append(
                (
                    ids[row, :length].tolist(),
                    block.visit_numbers[row, :length].tolist(),
                    int(block.prolonged_los[row]),
                )
            )
    return found


@pytest.mark.parametrize("num_patients", [1, 2, 32, 256])
def test_blocks_hold_every_patient_and_every_mask_once(num_patients):
    batch = random_batch(num_patients)
    codes = masked(batch)
    blocks = lay_out(batch, codes, pad_id=0)
    assert sorted(unmasked_patients(blocks)) == sorted(p[:3] for p in patients_of(batch))
    assert sum(len(block.masked_labels) for block in blocks) == len(codes.masked)
    for block in blocks:
        assert block.input_ids.shape == block.visit_numbers.shape == (len(block.lengths), block.lengths.max())
        empty = np.arange(block.input_ids.shape[1]) >= block.lengths[:, None]
        assert not block.input_ids[empty].any() and not block.visit_numbers[empty].any()
        assert not empty.flat[block.masked_positions].any()
        assert {a.dtype for a in vars(block).values()} == {np.dtype(np.int32)}


def test_another_padding_id():
    blocks = lay_out(random_batch(40), masked(random_batch(40)), pad_id=9)
    for block in blocks:
        empty = np.arange(block.input_ids.shape[1]) >= block.lengths[:, None]
        assert (block.input_ids[empty] == 9).all()


@pytest.mark.parametrize("num_patients", [32, 64, 256, 4096])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nine_slots_in_ten_hold_a_code(num_patients, seed):
    batch = random_batch(num_patients, seed=seed)
    blocks = lay_out(batch, masked(batch), pad_id=0)
    assert batch.num_codes >= 0.9 * num_slots(blocks)
    assert len(blocks) <= 16


def test_cuts_are_the_fewest_that_fill_enough():
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = np.sort(rng.integers(1, 40, 9))

        def slots(cuts, lengths=lengths):
            return sum((b - a) * lengths[b - 1] for a, b in itertools.pairwise(cuts))

        def filled(inner, lengths=lengths, slots=slots):
            return slots([0, *inner, 9]) * 0.9 <= lengths.sum()

        fewest = next(
            n for n in range(9) if any(filled(inner) for inner in itertools.combinations(range(1, 9), n))
        )
        cuts = block_cuts(lengths, 0.9)
        assert len(cuts) - 2 == fewest
        assert filled(cuts[1:-1].tolist())


def test_more_lengths_than_cuts_that_are_tried():
    lengths = np.concatenate([np.repeat(np.arange(1, 101), 200), np.arange(101, 5000)])
    cuts = block_cuts(lengths, 0.999999)
    assert cuts[0] == 0 and cuts[-1] == len(lengths)
    assert (np.diff(cuts) > 0).all()


def test_a_block_has_a_largest_size(monkeypatch):
    monkeypatch.setattr(layout, "MAX_BLOCK_SLOTS", 400)
    batch = random_batch(200, longest=100)
    blocks = lay_out(batch, masked(batch), pad_id=0)
    assert max(block.input_ids.size for block in blocks) <= 400
    assert sorted(unmasked_patients(blocks)) == sorted(p[:3] for p in patients_of(batch))


def test_no_patients_no_blocks():
    assert lay_out(empty_batch(), masked(empty_batch()), pad_id=0) == []


@pytest.mark.parametrize("max_slots", [1, 40, 300, 100_000])
def test_parts_hold_every_patient_once_and_no_more_slots(max_slots):
    blocks = [make_block(1, 9, 20), make_block(2, 3, 30), make_block(3, 4, 8)]
    parts = parts_of(blocks, max_slots)
    for part in parts:
        patients = sum(len(block.lengths) for block in part)
        assert num_slots(part) <= max_slots or patients == 1
    pieces = [block for part in parts for block in part]
    for name in ("lengths", "prolonged_los", "masked_labels"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(joined, np.concatenate([getattr(block, name) for block in blocks]))
    ids = [piece.input_ids.ravel()[piece.masked_positions] for piece in pieces]
    expected = [block.input_ids.ravel()[block.masked_positions] for block in blocks]
    np.testing.assert_array_equal(np.concatenate(ids), np.concatenate(expected))


def test_nobody_makes_no_parts():
    assert parts_of([], 10) == []


@pytest.mark.parametrize("hands", [1, 2, 3, 500])
def test_hands_hold_every_patient_once_and_are_alike(hands):
    batch = random_batch(256)
    blocks = lay_out(batch, masked(batch), pad_id=0)
    dealt = deal(blocks, hands)
    everybody = [patient for hand in dealt for patient in unmasked_patients(hand)]
    assert sorted(everybody) == sorted(unmasked_patients(blocks))
    patients = [sum(len(block.lengths) for block in hand) for hand in dealt]
    assert len(dealt) == hands and max(patients) - min(patients) <= 1
    codes = [sum(int(block.lengths.sum()) for block in hand) for hand in dealt]
    assert max(codes) - min(codes) <= 2 * batch.lengths.max()
