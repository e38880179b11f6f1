"""A rank that hangs is named, and the run ends."""

from __future__ import annotations

import pytest

from tests.trainer.hanging_trainer import HANGING_STEP
from tests.trainer.processes import finish, losses, start
from trainer.exit_codes import USER_ERROR

pytestmark = [pytest.mark.horovod, pytest.mark.slow]


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_a_rank_that_hangs_is_named_and_the_run_ends(data_set, tmp_path, project_root, backend):
    output = str(tmp_path / "run")
    limits = ["--stall-check-warning-time-seconds", "3", "--stall-check-shutdown-time-seconds", "6"]
    program = (f"{project_root}/tests/trainer/hanging_trainer.py",)
    process = start(data_set, output, backend, 2, program=program, launch=limits)
    said = finish(process, USER_ERROR)
    # Horovod's own words: of the ranks, number 1 is missing.
    assert "Missing ranks:" in said and "1!: [" in said
    assert "is stalled for longer than 6 seconds. Will shutdown." in said
    assert "rank 0 stops: another rank is lost or hangs (" in said
    assert losses(output)[-1][0] == HANGING_STEP - 1
