"""A rank that is frozen is named, and the run ends."""

from __future__ import annotations

import signal

import pytest

from tests.trainer.processes import finish, start, wait_for_step
from trainer.exit_codes import USER_ERROR
from trainer.rank_processes import ranks_below


@pytest.mark.horovod
@pytest.mark.slow
def test_a_frozen_rank_is_named_and_the_run_ends(data_set, tmp_path, monkeypatch):
    monkeypatch.setenv("HOROVOD_GLOO_TIMEOUT_SECONDS", "12")
    output = str(tmp_path / "run")
    process = start(data_set, output, "torch", 2)
    wait_for_step(process, output, 5)
    ranks = {rank.environ()["HOROVOD_RANK"]: rank for rank in ranks_below(process.pid)}
    assert sorted(ranks) == ["0", "1"]
    ranks["1"].send_signal(signal.SIGSTOP)
    said = finish(process, USER_ERROR)
    assert said.count(f"rank 1 (process {ranks['1'].pid}) is frozen") == 1
    assert "rank 0 stops: another rank is lost or hangs (" in said
