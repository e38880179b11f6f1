"""Confusions and neighbours: what is counted, over ranks too, and what the small-cell rule lets show."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from schemas.learned_codes import Confusion, LearnedCodes, read_learned_codes
from tests.trainer.core.input.batches import ragged
from tests.trainer.fake_backend import Collective, FakeBackend
from tests.trainer.runs import read_log, run_ranks
from tests.trainer.small_models import SMALL, make_batch
from trainer.config import OptimizerConfig
from trainer.core.baselines import count_patients
from trainer.core.confusions import ConfusionCounts, Confusions
from trainer.core.input.batch import MaskedBatch, RaggedBatch
from trainer.core.learned_codes import learned_codes
from trainer.core.world import World

SIZE = 9
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[MASK]", "A", "B", "C", "D", "E"]
A, B, C, D, E = range(4, SIZE)


def batch_of(*patients):
    """patients: for each, its masked codes. Nothing else of a batch matters here."""
    places = [row * 4 + column for row, labels in enumerate(patients) for column in range(len(labels))]
    labels = np.array([label for labels in patients for label in labels], np.int32)
    batch = ragged([[E] * 4 for _ in patients])
    return MaskedBatch(batch, batch.token_ids, np.array(places, np.int64), labels)


def top(*firsts):
    """Of ten guesses a masked code, the first."""
    return np.array([[first, *[0] * 9] for first in firsts], np.int32)


def over_ranks(*counts):
    collective = Collective(len(counts))
    worlds = [World(rank, len(counts), rank) for rank in range(len(counts))]
    backends = [FakeBackend(SMALL, OptimizerConfig(), world, 0, collective) for world in worlds]
    with ThreadPoolExecutor(len(counts)) as ranks:
        return list(ranks.map(lambda c, b, w: c.over_ranks(b, w), counts, backends, worlds))


def test_a_patient_counts_once_a_confusion():
    counts = ConfusionCounts(SIZE)
    counts.add(batch_of([A, A, B], [A], []), top(B, B, B, C))
    counts.add(batch_of([], []), top())
    counts.add(batch_of([A]), top(B))
    (found,) = over_ranks(counts)
    assert list(zip(found.codes, found.predicted, found.patients, strict=True)) == [(A, B, 2), (A, C, 1)]
    assert found.patients_masked[[A, B, C]].tolist() == [3, 1, 0]


def test_ranks_add_up_whoever_has_which_patients():
    alone, many = ConfusionCounts(SMALL.vocab_size), [ConfusionCounts(SMALL.vocab_size) for _ in range(3)]
    for number in range(4):
        batch = make_batch(number, 30, 12)
        guesses = np.random.default_rng(number).integers(4, 8, (len(batch.masked), 10))
        alone.add(batch, guesses)
        many[number % 2].add(batch, guesses)  # the third has none
    (expected,) = over_ranks(alone)
    for found in over_ranks(*many):
        for name, array in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name), array)


def shown(confusions=(), patients=(0, 0, 0, 0, 500, 400, 300, 10, 12), embeddings=None):
    codes, predicted, times = (
        (np.array(column, np.int64) for column in zip(*confusions, strict=True))
        if confusions
        else [np.empty(0, np.int64)] * 3
    )
    masked = np.full(SIZE, 104)
    if embeddings is None:
        embeddings = np.eye(SIZE)
    return learned_codes(
        7, TOKENS, np.array(patients), Confusions(codes, predicted, times, masked), embeddings
    )


def test_small_cells_and_rare_codes_are_not_shown():
    found = shown([(A, B, 11), (A, C, 10), (B, A, 38), (B, D, 90), (D, A, 90)])
    assert found.confusions == (Confusion("B", "A", 40, 100), Confusion("A", "B", 11, 100))
    assert '"D"' not in found.to_json()
    assert LearnedCodes.from_plain(json.loads(found.to_json())) == found


def test_neighbours_of_the_commonest_codes_by_cosine():
    embeddings = np.zeros((SIZE, 2))
    embeddings[A:] = [[1, 0], [5, 5], [0, 2], [9, 1], [-1, 0]]
    a, *_ = found = shown(embeddings=embeddings).neighbourhoods
    assert [place.code for place in found] == ["A", "B", "C", "E"]
    assert [near.code for near in a.neighbours] == ["B", "C", "E"]
    assert [near.cosine for near in a.neighbours] == pytest.approx([0.7071, 0, -1])


def test_without_a_code_that_may_be_named_nothing_is_shown():
    found = shown([(A, B, 50)], patients=[0, 0, 0, 0, 3, 2, 10, 1, 1])
    assert (found.confusions, found.neighbourhoods) == ((), ())
    alone = shown(patients=[0, 0, 0, 0, 50, 2, 10, 1, 1]).neighbourhoods
    assert [(place.code, place.neighbours) for place in alone] == [("A", ())]


def test_patients_are_counted_once_a_code():
    batch = RaggedBatch(np.array([4, 4, 5, 4]), np.array([1, 2, 2, 1]), np.array([0, 3, 3, 4]), None, None)
    assert count_patients(batch, 6).tolist() == [0, 0, 0, 0, 2, 1]


def test_a_run_writes_what_its_last_evaluation_shows(make_config):
    config = make_config(steps=30)
    assert read_learned_codes(config.output) is None
    run_ranks(config, 2)
    found = read_learned_codes(config.output)
    assert found.step == read_log(config, "eval")[-1]["step"] == 30
    assert found.confusions == ()  # of 90 patients, never 11 the same
    assert len(found.neighbourhoods) == 20
    assert all(len(place.neighbours) == 5 for place in found.neighbourhoods)
