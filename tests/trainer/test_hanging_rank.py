"""A rank that hangs is named, and the run ends."""

from __future__ import annotations

import os

import pytest

from tests.trainer.hanging_trainer import HANGING_STEP
from tests.trainer.processes import finish, losses, start
from trainer.exit_codes import USER_ERROR
from trainer.stall_check import limit_waiting

pytestmark = [pytest.mark.horovod, pytest.mark.slow]


LIMITS = ["--stall-check-warning-time-seconds", "3", "--stall-check-shutdown-time-seconds", "6"]


@pytest.fixture
def hang(data_set, tmp_path, project_root):
    """Train until a rank hangs, and to the run's end: what was said."""

    def hang(backend, code, *words, **options):
        output = str(tmp_path / "run")
        program = (f"{project_root}/tests/trainer/hanging_trainer.py", *words)
        said = finish(start(data_set, output, backend, 2, program=program, **options), code)
        # Horovod's own words: of the ranks, number 1 is missing.
        assert "Missing ranks:" in said and "1!: [" in said
        assert "is stalled for longer than 6 seconds. Will shutdown." in said
        assert "rank 0 stops: another rank is lost or hangs (" in said
        assert losses(output)[-1][0] == HANGING_STEP - 1

    return hang


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_a_rank_that_hangs_is_named_and_the_run_ends(hang, backend):
    hang(backend, USER_ERROR, launch=LIMITS)


def test_the_ranks_themselves_see_to_it_whatever_launched_them(hang):
    hang("torch", 1, "3", "6", launcher="horovod.runner.launch")


def test_what_is_set_already_stays(monkeypatch):
    monkeypatch.setenv("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", "7")
    monkeypatch.delenv("HOROVOD_STALL_CHECK_TIME_SECONDS", raising=False)
    limit_waiting()
    assert os.environ["HOROVOD_STALL_SHUTDOWN_TIME_SECONDS"] == "7"
    assert os.environ.pop("HOROVOD_STALL_CHECK_TIME_SECONDS") == "60"
