from __future__ import annotations

from collections import Counter

import numpy as np

from schemas.vocabulary import STANDARD_SPECIAL_TOKENS
from tests.trainer.core.input.batches import ragged, random_batch
from trainer.config import MaskingConfig
from trainer.core.baselines import count_codes, popularity_ranks, rank_by_other_visits, rank_by_popularity
from trainer.core.input.batch import MaskedBatch
from trainer.core.input.masking import Masker, training_key
from trainer.core.input.ragged import empty_batch


def test_popularity():
    ranks = popularity_ranks(np.asarray([0, 5, 9, 5]), 0)
    assert ranks.tolist() == [3, 1, 0, 2]


def test_counting():
    assert count_codes(ragged([[1, 2], [2]]), 4).tolist() == [0, 1, 2, 0]


def test_other_visits_by_hand():
    # Visit 3's code 7 is masked. Seen elsewhere: 7 once, 5 twice, 6 once; 8 stands in the same visit only.
    batch = ragged([[5, 6, 5, 7, 7, 8]], [[1, 1, 2, 2, 3, 3]])
    masked = MaskedBatch(batch, batch.token_ids.copy(), np.asarray([4]), np.asarray([7], np.int32))
    popularity = np.arange(10)
    assert rank_by_other_visits(masked, popularity, 0).tolist() == [2]
    popularity[[6, 7]] = [7, 6]  # 7 is now the more popular of the two that were seen once
    assert rank_by_other_visits(masked, popularity, 0).tolist() == [1]


def test_a_code_that_is_masked_elsewhere_too_is_not_seen():
    batch = ragged([[7, 7, 5]], [[1, 2, 3]])
    masked = MaskedBatch(batch, batch.token_ids.copy(), np.asarray([0, 1]), np.asarray([7, 7], np.int32))
    assert rank_by_other_visits(masked, np.arange(10), 0).tolist() == [10, 10]


def test_other_visits_equal_a_plain_loop():
    batch = random_batch(80, vocabulary_size=15)
    masked = Masker(MaskingConfig(), STANDARD_SPECIAL_TOKENS, 15).mask(batch, training_key(0, 0))
    popularity = popularity_ranks(count_codes(batch, 15), 0)
    expected = []
    for place, label in zip(masked.masked.tolist(), masked.labels.tolist(), strict=True):
        patient = np.searchsorted(batch.offsets, place, side="right") - 1
        others = [
            int(batch.token_ids[i])
            for i in range(batch.offsets[patient], batch.offsets[patient + 1])
            if i not in set(masked.masked.tolist()) and batch.visit_numbers[i] != batch.visit_numbers[place]
        ]
        guesses = sorted(Counter(others).items(), key=lambda item: (-item[1], popularity[item[0]]))
        ranking = [code for code, _ in guesses]
        expected.append(ranking.index(label) if label in ranking else 15)
    assert rank_by_other_visits(masked, popularity, 0).tolist() == expected
    assert rank_by_popularity(masked, popularity).tolist() == popularity[masked.labels].tolist()


def test_no_patients():
    masked = Masker(MaskingConfig(), STANDARD_SPECIAL_TOKENS, 15).mask(empty_batch(), training_key(0, 0))
    assert rank_by_other_visits(masked, np.arange(15), 0).tolist() == []


def test_no_guess_is_wasted_on_a_special_token():
    """[UNK] may be the commonest token of all, but it is never masked."""
    assert popularity_ranks(np.asarray([0, 90, 0, 0, 5, 9]), 4).tolist()[4:] == [1, 0]
    unknown, wanted = STANDARD_SPECIAL_TOKENS.unk, 7
    batch = ragged([[unknown, unknown, wanted, wanted]], [[1, 2, 2, 3]])
    masked = MaskedBatch(batch, batch.token_ids.copy(), np.asarray([3]), np.asarray([wanted], np.int32))
    first = STANDARD_SPECIAL_TOKENS.first_code_id
    assert rank_by_other_visits(masked, np.arange(10), first).tolist() == [0]
