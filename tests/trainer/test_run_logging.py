"""How progress is told: one line on a terminal, a line now and then in a file."""

from __future__ import annotations

import io
import logging

import pytest

from trainer import terminal
from trainer.core.run_log import log_progress
from trainer.run_logging import PLAIN_SECONDS, ProgressHandler
from trainer.terminal import columns_of

CLEAR = "\x1b[K"


@pytest.fixture
def logger():
    made = logging.Logger("test")
    made.setLevel(logging.INFO)
    return made


def test_on_a_terminal_one_line_is_rewritten_and_the_last_one_stays(logger):
    screen = io.StringIO()
    logger.addHandler(ProgressHandler(screen, columns_of=lambda _: 12))
    log_progress(logger, "step 1 of many", is_last=False)
    log_progress(logger, "step 2", is_last=False)
    logger.info("saved")
    logger.info("evaluated")
    log_progress(logger, "step 3", is_last=False)
    log_progress(logger, "step 4, the last one", is_last=True)
    assert screen.getvalue() == (
        f"{CLEAR}step 1 of m\r{CLEAR}step 2\r{CLEAR}saved\nevaluated\n"
        f"{CLEAR}step 3\r{CLEAR}step 4, the last one\n"
    )


def test_what_ends_a_run_does_not_stand_behind_its_progress(logger):
    screen = io.StringIO()
    handler = ProgressHandler(screen, columns_of=lambda _: 80)
    logger.addHandler(handler)
    log_progress(logger, "step 1", is_last=False)
    for _ in range(2):
        handler.end_line()
    assert screen.getvalue() == f"{CLEAR}step 1\r{CLEAR}"


def test_in_a_file_there_is_a_line_now_and_then(logger):
    clock, stream = iter([0, 0, 3, PLAIN_SECONDS, PLAIN_SECONDS]), io.StringIO()
    logger.addHandler(ProgressHandler(stream, now=lambda: next(clock)))
    for step in (1, 2, 3):
        log_progress(logger, f"step {step}", is_last=False)
    log_progress(logger, "step 4", is_last=True)
    assert stream.getvalue() == "step 1\nstep 3\nstep 4\n"


def test_ranks_know_of_the_launchers_terminal(monkeypatch):
    monkeypatch.delenv("MEDBERT_TERMINAL_COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert columns_of(io.StringIO()) is None
    monkeypatch.setattr(terminal, "columns_of", lambda _: 92)
    terminal.tell_ranks()
    assert columns_of(io.StringIO()) == 80
    monkeypatch.setenv("TERM", "dumb")
    assert columns_of(io.StringIO()) is None
