"""Warm-up, decay and length counted in patients: the same recipe for any batch and number of ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import ContractError
from tests.trainer.runs import read_log, run_ranks
from trainer.config import PretrainConfig

PATIENTS, WARM_UP, PEAK = 600, 150, 0.3


def in_patients(config: PretrainConfig, **fields: int) -> PretrainConfig:
    optimizer = replace(config.optimizer, warmup_patients=WARM_UP)
    return replace(config, optimizer=optimizer, patients=PATIENTS, checkpoint_every=1, **fields)


@pytest.mark.parametrize(("ranks", "batch_size"), [(1, 16), (1, 50), (2, 25), (3, 7)])
def test_the_rate_belongs_to_the_patients_seen(make_config, ranks, batch_size):
    config = in_patients(make_config(), batch_size=batch_size)
    run_ranks(config, ranks)
    lines = read_log(config, "train")
    seen = np.array([0, *(line["patients_seen"] for line in lines)])
    assert seen[-2] < PATIENTS <= seen[-1]
    expected = np.where(seen < WARM_UP, PEAK * seen / WARM_UP, PEAK * (1 - seen / PATIENTS))
    np.testing.assert_allclose([line["learning_rate"] for line in lines], expected[:-1], atol=1e-12)


def test_another_world_goes_on_to_the_same_patients(make_config):
    config = in_patients(make_config(), batch_size=16)

    def lose(step, backend):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ranks(config, 2, before_step=lose)
    run_ranks(config, 3)
    lines = read_log(config, "train")
    assert [line["patients_seen"] for line in lines[:5]] == [32, 64, 96, 128, 176]
    assert lines[-2]["patients_seen"] < PATIENTS <= lines[-1]["patients_seen"]
    assert lines[-1]["learning_rate"] == pytest.approx(PEAK * (1 - lines[-2]["patients_seen"] / PATIENTS))
    steps = len(lines)
    run_ranks(config, 3)  # is done
    assert len(read_log(config, "train")) == steps


def test_patients_and_steps_are_not_mixed(make_config):
    with pytest.raises(ContractError, match=r"patients is 100 and optimizer\.warmup_patients None"):
        make_config(patients=100)
    with pytest.raises(ContractError, match="patients is 0"):
        config = make_config()
        replace(config, patients=0, optimizer=replace(config.optimizer, warmup_patients=1))
