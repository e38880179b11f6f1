"""A second trainer in the folder of one that runs, and one that follows a lost one."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from schemas.checkpoint import list_checkpoints
from schemas.lease import LEASE_NAME, FolderInUse, Holder
from schemas.owner import Owner
from tests.trainer.runs import read_log, run_ranks
from trainer.core.together import OtherRankFailed


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_second_trainer_is_refused_and_disturbs_nothing(make_config, ranks):
    config = make_config(steps=20, keep_checkpoints=1, keep_best=0)
    refused = []

    def start_another(step, backend):
        if step != 12 or refused:
            return
        before = list_checkpoints(config.output)
        refused.append(None)
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on") as caught:
            run_ranks(replace(config, steps=30), ranks)
        refused[0] = [type(error) for error in run_ranks.errors.values()]
        assert config.output in str(caught.value)
        assert list_checkpoints(config.output) == before

    run_ranks(config, before_step=start_another)
    assert sorted(refused[0], key=str) == sorted([FolderInUse] + [OtherRankFailed] * (ranks - 1), key=str)
    assert [line["step"] for line in read_log(config, "train")] == list(range(1, 21))
    assert LEASE_NAME not in os.listdir(config.output)


def test_a_run_that_ended_badly_leaves_no_lease(make_config):
    config = make_config()

    def fail(step, backend):
        if step == 7:
            raise KeyError

    with pytest.raises(KeyError):
        run_ranks(config, before_step=fail)
    assert LEASE_NAME not in os.listdir(config.output)
    run_ranks(config, 2)


def test_ranks_go_on_where_the_first_one_was_lost_with_its_host(make_config, monkeypatch):
    """The launcher makes another rank the first one, and gives all of them the name of the run."""
    config = make_config(steps=3)
    lost = replace(Owner.this_process(), host="lost", machine="of another kernel")
    os.makedirs(config.output)
    with open(f"{config.output}/{LEASE_NAME}", "wb") as stream:
        stream.write(Holder("a" * 32, lost, "then", "later", "this run").to_bytes())
    monkeypatch.setenv("MEDBERT_RUN", "this run")
    run_ranks(config, 2)
    assert len(read_log(config, "train")) == 3
