from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trainer.core.metrics import IntervalMeans, area_under_roc, count_hits, count_top_hits, ratio


def test_auc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    scores = np.round(rng.normal(labels * 0.5, 1), 1)
    assert area_under_roc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auc_is_nothing_for_one_class_or_scores_that_are_not_finite():
    assert area_under_roc(np.asarray([0.1, 0.2]), np.asarray([1, 1])) is None
    assert area_under_roc(np.asarray([0.1, np.nan]), np.asarray([1, 0])) is None


def test_hits():
    assert count_hits(np.asarray([0, 4, 5, 9, 10])).tolist() == [1, 2, 4]
    top = np.arange(20).reshape(2, 10)
    assert count_top_hits(top, np.asarray([0, 19])).tolist() == [1, 1, 2]


def test_a_small_vocabulary_fills_up_with_minus_one():
    assert count_top_hits(np.asarray([[3, -1, -1]]), np.asarray([3])).tolist() == [1, 1, 1]


def test_means_are_weighted_and_divided_once():
    interval = IntervalMeans()
    interval.add(patients=1, codes=10, masked_codes=1, slots=10, mlm_loss=4, los_loss=1, gradient_norm=1)
    interval.add(patients=3, codes=80, masked_codes=3, slots=90, mlm_loss=2, los_loss=0, gradient_norm=3)
    means = {"mlm_loss": 2.5, "los_loss": 0.25, "gradient_norm": 2.0, "slots_filled": 0.9}
    assert interval.means() == means
    assert ratio(1, 0) is None
