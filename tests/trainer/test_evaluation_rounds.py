"""In an evaluation the ranks go batch by batch together: all hear at once of one that stops or fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.trainer.fake_backend import FakeBackend
from tests.trainer.runs import read_log, run_ranks
from trainer.core.stop import Stopped, StopRequest
from trainer.core.together import OtherRankFailed


@pytest.fixture
def on_predict(monkeypatch):
    """on_predict(f): f(rank, number of its batches so far) comes before each; returns those numbers."""
    batches = Counter()
    predict = FakeBackend.predict

    def set_hook(hook):
        def hooked(self, batch):
            batches[self._world.rank] += 1
            hook(self._world.rank, batches[self._world.rank])
            return predict(self, batch)

        monkeypatch.setattr(FakeBackend, "predict", hooked)
        return batches

    return set_hook


@pytest.fixture
def config(make_config):
    """Evaluations of 90 patients, of which each of two ranks has 23 batches."""
    return make_config(steps=10, eval_every=5, checkpoint_every=50, batch_size=2)


@pytest.mark.parametrize("asked", [0, 1])
def test_ranks_that_were_not_asked_give_up_as_soon(config, on_predict, asked):
    stops = [StopRequest(), StopRequest()]

    def ask(rank, number):
        if rank != asked and number == 3:
            stops[asked].ask()

    batches = on_predict(ask)
    with pytest.raises(Stopped, match=f"SIGTERM on rank {asked}"):
        run_ranks(config, 2, stops=stops)
    # Whether the asked one hears it before or after it agrees to go on, is a matter of luck.
    assert batches[0] == batches[1] and batches[0] in (3, 4)
    assert read_log(config, "eval") == []


def test_a_rank_that_fails_ends_the_others_evaluation(config, on_predict):
    def fail(rank, number):
        if (rank, number) == (1, 3):
            raise OSError("the shard is gone")

    batches = on_predict(fail)
    with pytest.raises(OSError, match="the shard is gone"):
        run_ranks(config, 2)
    assert isinstance(run_ranks.errors[0], OtherRankFailed)
    assert batches == {0: 3, 1: 3}


def test_popularity_is_not_counted_to_the_end(config, on_predict):
    stops = [StopRequest(), StopRequest()]

    def ask(step, backend):
        if (step, backend._world.rank) == (5, 1):
            stops[1].ask()

    batches = on_predict(lambda rank, number: None)
    with pytest.raises(Stopped, match="stopped at step 5 "):
        run_ranks(config, 2, before_step=ask, stops=stops)
    assert not batches


@pytest.mark.parametrize(
    ("patients", "ranks"), [(13, 2), (2, 3), (1, 2)], ids=["a batch fewer", "none on the last", "one alone"]
)
def test_unequal_shares_are_evaluated_as_by_one_rank(make_config, tmp_path, patients, ranks):
    config = make_config(steps=1, batch_size=6, eval_patients=patients, learning_rate=1e-30)
    alone = replace(config, output=str(tmp_path / "alone"))
    run_ranks(config, ranks)
    run_ranks(alone)
    (together,), (single,) = (read_log(of, "eval") for of in (config, alone))
    assert together["patients"] == patients
    assert together == pytest.approx(single)
