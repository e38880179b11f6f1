from __future__ import annotations

import numpy as np
import pytest

from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS
from tests.trainer.core.input.batches import ragged, random_batch
from trainer.config import MaskingConfig
from trainer.core.input.masking import Masker, evaluation_key, training_key
from trainer.core.input.ragged import concatenate, empty_batch, take


def masker(special=STANDARD_SPECIAL_TOKENS, vocabulary_size=500, **fields):
    return Masker(MaskingConfig(**fields), special, vocabulary_size)


def by_patient(batch, codes):
    """row number → (positions, labels, what stands there now)"""
    found = {}
    for p, row in enumerate(batch.row_numbers.tolist()):
        start, stop = batch.offsets[p], batch.offsets[p + 1]
        chosen = (codes.masked >= start) & (codes.masked < stop)
        places = codes.masked[chosen]
        found[row] = (
            (places - start).tolist(), codes.labels[chosen].tolist(), codes.input_ids[places].tolist()
        )  # fmt: skip
    return found


def test_the_number_of_masked_codes_is_the_rate_and_at_least_one():
    batch = random_batch(200)
    codes = masker(rate=0.15).mask(batch, training_key(0, 0))
    masked_each = np.asarray([len(one[0]) for one in by_patient(batch, codes).values()])
    assert masked_each.tolist() == np.maximum(np.floor(batch.lengths * 0.15 + 0.5), 1).tolist()


@pytest.mark.parametrize("codes_per_patient", [1, 3, 1000])
def test_a_fixed_number_of_codes_a_patient(codes_per_patient):
    batch = random_batch(50)
    codes = masker(codes_per_patient=codes_per_patient).mask(batch, training_key(0, 0))
    masked_each = [len(one[0]) for one in by_patient(batch, codes).values()]
    assert masked_each == np.minimum(batch.lengths, codes_per_patient).tolist()


def test_labels_are_the_codes_that_stood_there_and_the_rest_is_untouched():
    batch = random_batch(100)
    codes = masker().mask(batch, training_key(0, 0))
    assert (np.diff(codes.masked) > 0).all()
    np.testing.assert_array_equal(codes.labels, batch.token_ids[codes.masked])
    untouched = np.ones(batch.num_codes, bool)
    untouched[codes.masked] = False
    np.testing.assert_array_equal(codes.input_ids[untouched], batch.token_ids[untouched])
    assert codes.input_ids.dtype == codes.labels.dtype == np.int32


def test_80_10_10():
    batch = random_batch(5000)
    codes = masker(rate=0.5).mask(batch, training_key(0, 0))
    now = codes.input_ids[codes.masked]
    became_mask = now == 3
    stayed = now == codes.labels
    assert became_mask.mean() == pytest.approx(0.8, abs=0.01)
    assert stayed.mean() == pytest.approx(0.1, abs=0.01)
    replaced = now[~became_mask & ~stayed]
    assert replaced.min() >= 4 and replaced.max() < 500
    assert np.bincount(replaced, minlength=500)[4:].min() > 0


def test_every_position_is_equally_likely():
    batch = ragged([[5] * 10] * 4000)
    positions = masker(codes_per_patient=1).mask(batch, training_key(0, 0)).masked % 10
    assert np.bincount(positions, minlength=10) / 4000 == pytest.approx(np.full(10, 0.1), abs=0.02)


def test_masks_depend_on_the_patient_and_the_key_alone():
    batch = random_batch(60)
    key = training_key(7, 2)
    whole = by_patient(batch, masker().mask(batch, key))
    shuffled = take(batch, np.random.default_rng(1).permutation(60))
    assert by_patient(shuffled, masker().mask(shuffled, key)) == whole
    for rows in (np.arange(13), np.arange(13, 60)):
        some = take(batch, rows)
        assert by_patient(some, masker().mask(some, key)).items() <= whole.items()


def test_masks_are_fresh_in_each_epoch_and_fixed_in_evaluation():
    batch = random_batch(60)
    keys = [training_key(0, 0), training_key(0, 1), training_key(1, 0), evaluation_key()]
    chosen = [masker().mask(batch, key).masked.tolist() for key in keys]
    assert len({tuple(one) for one in chosen}) == 4
    assert masker().mask(batch, evaluation_key()).masked.tolist() == chosen[3]


def test_two_patients_with_the_same_codes_have_other_masks():
    batch = ragged([list(range(4, 104))] * 2)
    first, second = by_patient(batch, masker().mask(batch, training_key(0, 0))).values()
    assert first[0] != second[0]


def test_unknown_codes_are_never_guessed():
    batch = ragged([[1, 1, 5, 1], [1, 1]])
    codes = masker(rate=1.0).mask(batch, training_key(0, 0))
    assert codes.masked.tolist() == [2]


def test_a_vocabulary_without_special_tokens_of_its_own():
    batch = ragged([list(range(1, 60))] * 200)
    codes = masker(MEDBERT_SPECIAL_TOKENS, 60, rate=0.9).mask(batch, training_key(0, 0))
    now = codes.input_ids[codes.masked]
    assert (now == 0).mean() == pytest.approx(0.8, abs=0.02)
    assert codes.labels.min() == 1
    assert now[(now != 0) & (now != codes.labels)].min() == 1


def test_no_patients():
    codes = masker().mask(empty_batch(), training_key(0, 0))
    assert len(codes.masked) == len(codes.labels) == len(codes.input_ids) == 0
    both = concatenate([empty_batch(), random_batch(3)])
    assert both.num_patients == 3


def test_an_evaluation_shows_the_model_no_masked_code():
    """A code that is left as it is, as a tenth is in training, would be told from itself."""
    batch = random_batch(300)
    config = MaskingConfig().for_evaluation()
    codes = Masker(config, STANDARD_SPECIAL_TOKENS, 500).mask(batch, evaluation_key())
    assert len(codes.masked) > 300
    assert (codes.input_ids[codes.masked] == STANDARD_SPECIAL_TOKENS.mask).all()
