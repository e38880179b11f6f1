from __future__ import annotations

import pytest

from trainer.core.schedule import learning_rate


@pytest.mark.parametrize(
    ("done", "expected"),
    [(0, 0.0), (5, 0.5), (9, 0.9), (10, 0.9), (50, 0.5), (99, 0.01), (120, 0.0)],
)
def test_rates_are_those_of_bert(done, expected):
    assert learning_rate(done, peak=1.0, warmup=10, total=100) == pytest.approx(expected)


def test_without_warm_up():
    assert learning_rate(0, peak=2.0, warmup=0, total=10) == 2.0
