"""Ranks come and go: no step is lost that was committed, and no patient is seen or counted twice."""

from __future__ import annotations

import json
import os
import signal
from itertools import groupby

import pytest

from schemas.checkpoint import latest_checkpoint
from schemas.manifest import join
from schemas.training_log import METRICS_FILE
from tests.trainer.processes import finish, start, wait_for
from tests.trainer.runs import read_log, run_ranks
from trainer.core.commits import Commits, RanksChange
from trainer.core.stop import Stopped, StopRequest
from trainer.core.together import RankLost
from trainer.exit_codes import STOPPED
from trainer.rank_processes import ranks_below

PATIENTS = 400  # of the data set's training split


def patients_by_epoch(lines):
    """Patients counted in each epoch, from the log's train lines."""
    counted, before = [], 0
    for _, of_epoch in groupby(lines, key=lambda line: line["epoch"]):
        *_, last = of_epoch
        counted.append(last["patients_seen"] - before)
        before = last["patients_seen"]
    return counted


def check_log(lines):
    """Each step once, and each patient of an epoch once, but for the last epoch, which is not over."""
    train = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in train] == list(range(1, len(train) + 1))
    *whole, last = patients_by_epoch(train)
    assert set(whole) == {PATIENTS} and last <= PATIENTS


def lose_a_rank_at(lost_step):
    """What all other ranks see of a rank that dies in the middle of a step."""

    def before_step(step, backend):
        if step == lost_step:
            raise RankLost

    return before_step


def test_a_lost_rank_sets_the_others_back_to_the_last_commit(make_config):
    config = make_config(steps=90, commit_every=4, eval_every=90, checkpoint_every=100)
    commits = [Commits(), Commits()]
    with pytest.raises(RankLost):
        run_ranks(config, 2, before_step=lose_a_rank_at(11), commits=commits)
    assert [commit.state.step for commit in commits] == [8, 8]
    # The second rank is the one that is left, and is the first of the smaller world.
    with pytest.raises(RankLost):
        run_ranks(config, 1, before_step=lose_a_rank_at(14), commits=commits[1:])
    assert commits[1].state.step == 12
    # A third one comes: what it has does not count.
    run_ranks(config, 2, commits=[commits[1], Commits()])
    check_log(read_log(config))
    assert [(line["step"], line["world_size"]) for line in read_log(config, "start")] == [
        (0, 2),
        (8, 1),
        (12, 2),
    ]
    assert read_log(config, "train")[-1]["step"] == 90


def test_ranks_that_change_of_themselves_lose_no_step(make_config):
    config = make_config(steps=40, eval_every=40, checkpoint_every=100)
    commits = [Commits(), Commits()]

    def hosts_change(step, backend):
        if step == 7 and backend._world.rank == 0:
            commits[0].hosts_changed = True

    with pytest.raises(RanksChange, match="after step 7"):
        run_ranks(config, 2, before_step=hosts_change, commits=commits)
    assert {type(error) for error in run_ranks.errors.values()} == {RanksChange}
    commits[0].hosts_changed = False
    run_ranks(config, 3, commits=[*commits, Commits()])
    check_log(read_log(config))
    assert [(line["step"], line["world_size"]) for line in read_log(config, "start")] == [(0, 2), (7, 3)]


def test_ranks_that_meet_again_unchanged_repeat_an_undisturbed_run(make_config, tmp_path):
    undisturbed = make_config(steps=30, output=str(tmp_path / "undisturbed"))
    run_ranks(undisturbed, 2)
    config = make_config(steps=30)
    commits = [Commits(), Commits()]
    with pytest.raises(RankLost):
        run_ranks(config, 2, before_step=lose_a_rank_at(18), commits=commits)
    run_ranks(config, 2, commits=commits)
    for kind in ("train", "eval"):
        expected = [line["mlm_loss"] for line in read_log(undisturbed, kind)]
        assert [line["mlm_loss"] for line in read_log(config, kind)] == expected


def test_a_rank_lost_before_the_first_commit_is_no_worse_than_a_restart(make_config):
    config = make_config(steps=12)
    run_ranks(make_config(steps=10))
    commits = [Commits()]
    with pytest.raises(RankLost):
        run_ranks(config, before_step=lose_a_rank_at(11), commits=commits)
    assert [line["step"] for line in read_log(config, "start")] == [0, 10]
    assert commits[0].state.step == 10


def stop_as_the_ranks_meet_again(config, commits):
    stop = StopRequest()
    stop.ask()
    with pytest.raises(Stopped):
        run_ranks(config, stops=[stop], commits=commits)


def test_a_stop_as_the_ranks_meet_again_saves_what_is_in_memory_alone(make_config):
    config = make_config(steps=30, commit_every=4, eval_every=30, checkpoint_every=100)
    commits = [Commits(), Commits()]
    with pytest.raises(RankLost):
        run_ranks(config, 2, before_step=lose_a_rank_at(11), commits=commits)
    stop_as_the_ranks_meet_again(config, commits[1:])
    assert latest_checkpoint(config.output).step == 8
    run_ranks(config)
    assert [line["step"] for line in read_log(config, "start")] == [0, 8, 8]
    check_log(read_log(config))


def test_a_checkpoint_is_a_commit_and_is_not_saved_twice(make_config):
    config = make_config(commit_every=100, eval_every=10, checkpoint_every=10)
    commits = [Commits()]
    with pytest.raises(RankLost):
        run_ranks(config, before_step=lose_a_rank_at(15), commits=commits)
    assert commits[0].state.step == 10
    stop_as_the_ranks_meet_again(config, commits)
    assert [line["step"] for line in read_log(config, "checkpoint")] == [10]


def test_a_commit_keeps_its_step_s_validation_loss(make_config):
    config = make_config(commit_every=5, eval_every=5, checkpoint_every=100)
    commits = [Commits()]
    with pytest.raises(RankLost):
        run_ranks(config, before_step=lose_a_rank_at(7), commits=commits)
    stop_as_the_ranks_meet_again(config, commits)
    (evaluation,), (saved,) = read_log(config, "eval"), read_log(config, "checkpoint")
    assert saved["step"] == evaluation["step"] == 5
    assert saved["validation_loss"] == evaluation["mlm_loss"] + evaluation["los_loss"]


def read_lines(output):
    path = join(output, METRICS_FILE)
    if not os.path.exists(path):
        return []
    with open(path) as stream:
        return [json.loads(line) for line in stream if line.endswith("\n")]


@pytest.mark.horovod
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_a_killed_worker_is_done_without_and_comes_back(data_set, tmp_path, backend):
    hosts = tmp_path / "hosts.sh"
    hosts.write_text("#!/bin/sh\necho localhost:1\necho 127.0.0.1:1\n")
    hosts.chmod(0o755)
    elastic = ["--min-np", "1", "--max-np", "2", "--host-discovery-script", str(hosts)]
    elastic += ["--network-interface", "lo", "--blacklist-cooldown-range", "3", "10"]
    output = str(tmp_path / "run")
    options = {"steps": 100_000, "commit_every": 10, "eval_every": 100_000, "checkpoint_every": 200}
    process = start(data_set, output, backend, 2, launch=elastic, **options)

    def worlds():
        return [line["world_size"] for line in read_lines(output) if line["kind"] == "start"]

    wait_for(process, lambda: len(read_lines(output)) > 30)
    victim = next(rank for rank in ranks_below(process.pid) if rank.environ()["HOROVOD_RANK"] == "1")
    victim.kill()
    wait_for(process, lambda: worlds() == [2, 1, 2] and read_lines(output)[-1]["kind"] == "train")
    os.kill(process.pid, signal.SIGTERM)
    said = finish(process, STOPPED)

    lines = read_lines(output)
    check_log(lines)
    assert worlds() == [2, 1, 2]
    assert said.count("a rank was lost; going back to step ") == 1
    assert "training with 1 rank(s)" in said and "the ranks change after step " in said
    checkpoint = latest_checkpoint(output)
    assert checkpoint is not None and checkpoint.step == lines[-1]["step"]
