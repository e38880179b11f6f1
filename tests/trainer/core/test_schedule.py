from __future__ import annotations

import pytest

from trainer.core.schedule import learning_rate


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 0.0), (6, 0.5), (10, 0.9), (11, 0.9), (51, 0.5), (100, 0.01)],
)
def test_rates_are_those_of_bert(step, expected):
    assert learning_rate(step, peak=1.0, warmup_steps=10, steps=100) == pytest.approx(expected)


def test_without_warm_up():
    assert learning_rate(1, peak=2.0, warmup_steps=0, steps=10) == 2.0
