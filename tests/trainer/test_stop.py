"""A run that is asked to stop saves its step, says so, and goes on later as if nothing had happened."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from schemas.checkpoint import list_checkpoints
from tests.trainer.interrupted import ON_EACH_BACKEND, check_it_repeats_an_undisturbed_run, started
from tests.trainer.processes import STEPS, finish, losses
from tests.trainer.runs import read_log, run_ranks
from trainer.core.checkpoints import read_state
from trainer.core.evaluation import Evaluator
from trainer.core.stop import Stopped, StopRequest, stop_on_sigterm
from trainer.exit_codes import STOPPED

TIMINGS = ("patients_per_second", "codes_per_second", "input_wait", "seconds")


def metrics_of(config, kind):
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in read_log(config, kind)]


def run_and_stop(config, asked):
    """Two ranks; asked: rank → the step in which it is asked to stop. What each of them raised."""
    stops = [StopRequest(), StopRequest()]

    def before_step(step, backend):
        if asked.get(backend._world.rank) == step:
            stops[backend._world.rank].ask()

    with pytest.raises(Stopped):
        run_ranks(config, 2, before_step=before_step, stops=stops)
    return run_ranks.errors


@pytest.fixture
def undisturbed(make_config, tmp_path):
    config = make_config(steps=30, output=str(tmp_path / "undisturbed"))
    run_ranks(config, 2)
    return config


@pytest.mark.parametrize(
    ("asked", "step", "ranks"), [({0: 7}, 7, [0]), ({1: 7}, 7, [1]), ({0: 8, 1: 7}, 7, [1]), ({1: 1}, 1, [1])]
)
def test_all_ranks_stop_after_the_step_in_which_the_first_is_asked(undisturbed, tmp_path, asked, step, ranks):
    config = replace(undisturbed, output=str(tmp_path / "stopped"))
    errors = run_and_stop(config, asked)
    assert {type(error) for error in errors.values()} == {Stopped}
    assert len(errors) == 2
    assert [number for number, _ in list_checkpoints(config.output)] == [step]
    assert read_log(config)[-1] == {"kind": "stop", "step": step, "reason": "SIGTERM", "ranks": ranks}

    run_ranks(config, 2)
    for kind in ("train", "eval"):
        assert metrics_of(config, kind) == metrics_of(undisturbed, kind)


def test_an_evaluation_is_given_up_and_comes_first_afterwards(undisturbed, tmp_path):
    config = replace(undisturbed, output=str(tmp_path / "stopped"))
    run_and_stop(config, {1: 15})
    assert read_log(config, "eval") == []
    assert [line["step"] for line in read_log(config, "checkpoint")] == [10, 15]
    for _ in range(2):  # however often it is stopped before the next checkpoint
        stops = [StopRequest(), StopRequest()]
        stops[0].ask()
        with pytest.raises(Stopped):
            run_ranks(config, 2, stops=stops)
    run_ranks(config, 2)
    for kind in ("train", "eval"):
        assert metrics_of(config, kind) == metrics_of(undisturbed, kind)


def test_the_last_evaluation_too(undisturbed, tmp_path, caplog):
    caplog.set_level("INFO")
    config = replace(undisturbed, output=str(tmp_path / "stopped"))
    run_and_stop(config, {0: 30})
    assert [line["step"] for line in read_log(config, "eval")] == [15]
    run_ranks(config, 2)
    assert metrics_of(config, "eval") == metrics_of(undisturbed, "eval")
    evaluation = read_log(config, "eval")[-1]
    state = read_state(list_checkpoints(config.output)[-1][1])
    assert (state.step, state.evaluation_due) == (30, False)
    assert state.validation_loss == evaluation["mlm_loss"] + evaluation["los_loss"]
    assert [line["validation_loss"] for line in read_log(config, "checkpoint")[-2:]] == [
        None,
        state.validation_loss,
    ]
    before = read_log(config)
    run_ranks(config, 2)
    assert "already trained to step 30" in caplog.text
    assert read_log(config) == before


def test_what_is_evaluated_afterwards_may_be_the_best(make_config, monkeypatch):
    config = make_config(checkpoint_every=5, eval_every=5, keep_checkpoints=1, keep_best=1)
    evaluate = Evaluator.evaluate

    def planned(self):
        values = evaluate(self)
        steps = [line["step"] for line in read_log(config, "train")]
        return values | {"mlm_loss": 0.1 if steps[-1] == 15 else 1.0, "los_loss": 0.5}

    monkeypatch.setattr(Evaluator, "evaluate", planned)
    run_and_stop(config, {0: 15})
    run_ranks(config, 2)
    assert [step for step, _ in list_checkpoints(config.output)] == [15, 30]


def test_what_is_saved_already_is_not_saved_again(make_config):
    config = make_config()
    run_and_stop(config, {0: 10})
    assert [line["step"] for line in read_log(config, "checkpoint")] == [10]
    assert read_log(config)[-1]["kind"] == "stop"


def test_before_the_first_step_there_is_nothing_to_save(make_config):
    config = make_config()
    stop = StopRequest()
    stop.ask()
    with pytest.raises(Stopped, match="stopped at step 0"):
        run_ranks(config, stops=[stop])
    assert list_checkpoints(config.output) == []
    run_ranks(config)


def test_the_signal_may_come_twice_and_its_handler_goes():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_sigterm() as stop:
        assert not stop.asked
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked
    assert signal.getsignal(signal.SIGTERM) == before


@ON_EACH_BACKEND
def test_sigterm_in_a_real_run(data_set, tmp_path, backend, ranks):
    stopped = str(tmp_path / "stopped")
    process = started(data_set, stopped, backend, ranks, 10)
    os.kill(process.pid, signal.SIGTERM)  # of two ranks, the launcher alone
    said = finish(process, STOPPED)
    reached = losses(stopped)[-1][0]
    assert 10 <= reached < STEPS
    assert f"stopped at step {reached} (SIGTERM on rank " in said
    assert list_checkpoints(stopped)[-1][0] == reached
    check_it_repeats_an_undisturbed_run(data_set, stopped, str(tmp_path / "undisturbed"), backend, ranks)
