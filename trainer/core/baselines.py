"""What a guess without any model reaches: a masked code is worth predicting only beyond these."""

from __future__ import annotations

import numpy as np

from trainer.core.input.batch import MaskedBatch, RaggedBatch
from trainer.core.input.ragged import ranges


def count_codes(batch: RaggedBatch, vocabulary_size: int) -> np.ndarray:
    """(vocabulary_size,) int64: occurrences of each token."""
    return np.bincount(batch.token_ids, minlength=vocabulary_size)


def count_patients(batch: RaggedBatch, vocabulary_size: int) -> np.ndarray:
    """(vocabulary_size,) int64: patients who have each token, once or more."""
    patients = np.repeat(np.arange(batch.num_patients), batch.lengths)
    having = np.sort(patients * vocabulary_size + batch.token_ids)  # np.unique is ten times slower here
    is_first = np.diff(having, prepend=-1) > 0
    return np.bincount(having[is_first] % vocabulary_size, minlength=vocabulary_size)


def popularity_ranks(counts: np.ndarray, first_code_id: int) -> np.ndarray:
    """(V,) int64: 0 for the most frequent code, 1 for the next, …; ties by id.

    Special tokens come last: they are never masked, and a guess must not be wasted on one.
    """
    wanted = counts.copy()
    wanted[:first_code_id] = -1
    ranks = np.empty(len(counts), np.int64)
    ranks[np.argsort(-wanted, kind="stable")] = np.arange(len(counts))
    return ranks


def rank_by_popularity(batch: MaskedBatch, popularity: np.ndarray) -> np.ndarray:
    """(K,) int64: at which guess the masked code is hit if one always guesses the most frequent codes."""
    return popularity[batch.labels]


def rank_by_other_visits(batch: MaskedBatch, popularity: np.ndarray, first_code_id: int) -> np.ndarray:
    """(K,) int64: at which guess the masked code is hit if one guesses from the patient's other visits.

    Guessed are the codes of the patient's other visits that are not masked, the most frequent first, ties by
    popularity. A code that is not among them is never hit: the rank is then the size of the vocabulary.
    """
    ragged = batch.patients
    never = len(popularity)
    num_masked = len(batch.masked)
    ranks = np.full(num_masked, never, np.int64)
    patients = batch.masked_patients

    # Every pair of a masked code and a code of the same patient in another visit, if that one can be seen.
    lengths = ragged.lengths[patients]
    masked = np.repeat(np.arange(num_masked, dtype=np.int64), lengths)
    others = ranges(ragged.offsets[patients], lengths)
    is_masked = np.zeros(ragged.num_codes, bool)
    is_masked[batch.masked] = True
    counted = ~is_masked[others] & (ragged.token_ids[others] >= first_code_id)
    counted &= ragged.visit_numbers[others] != ragged.visit_numbers[batch.masked[masked]]
    pairs = masked[counted] * never + ragged.token_ids[others[counted]]

    guesses, times = np.unique(pairs, return_counts=True)
    if not len(guesses):
        return ranks
    guess_of, guessed_code = np.divmod(guesses, never)
    wanted = np.arange(num_masked) * never + batch.labels
    place = np.minimum(np.searchsorted(guesses, wanted), len(guesses) - 1)
    found = guesses[place] == wanted
    times_of_label = np.where(found, times[place], 0)[guess_of]
    label_popularity = popularity[batch.labels][guess_of]
    is_better = times > times_of_label
    is_better |= (times == times_of_label) & (popularity[guessed_code] < label_popularity)
    better = np.bincount(guess_of[is_better], minlength=num_masked)
    ranks[found] = better[found]
    return ranks
