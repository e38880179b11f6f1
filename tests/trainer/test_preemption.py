"""Ranks of a container are asked to stop; other processes are left alone."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from trainer.preemption import stop_ranks
from trainer.rank_processes import ask_to_stop
from trainer.run_name import name_run

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, {handler})
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def start():
    """start(handler of SIGTERM, rank): a process, a rank unless that is None."""
    started = []

    def begin(handler, rank):
        environment = {name: value for name, value in os.environ.items() if name != "HOROVOD_RANK"}
        if rank is not None:
            environment["HOROVOD_RANK"] = str(rank)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(handler=handler)], env=environment, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n"
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_ranks_stop_and_others_do_not(start):
    ranks = [start("lambda *_: sys.exit(75)", rank) for rank in (0, 1)]
    other = start("lambda *_: sys.exit(75)", None)
    assert stop_ranks(os.getpid(), 30) == 0
    assert all(rank.poll() is not None for rank in ranks)
    assert other.poll() is None


def test_a_rank_that_does_not_stop_is_counted(start):
    start("signal.SIG_IGN", 0)
    assert stop_ranks(os.getpid(), 0.1) == 1


def test_without_ranks_there_is_nothing_to_do(start):
    start("signal.SIG_IGN", None)
    assert stop_ranks(os.getpid(), 30) == 0


def test_ranks_of_another_run_are_left_alone(start, monkeypatch):
    other = start("lambda *_: sys.exit(75)", 0)
    monkeypatch.setenv("MEDBERT_RUN", "")  # put back afterwards
    run = name_run()
    ours = start("lambda *_: sys.exit(75)", 0)
    assert stop_ranks(os.getpid(), 30, run) == 0
    assert ours.poll() is not None and other.poll() is None


def test_one_that_ended_meanwhile_does_not_keep_the_rest_from_being_asked(start):
    ranks = [psutil.Process(start("lambda *_: sys.exit(75)", rank).pid) for rank in (0, 1)]
    ranks[0].kill()
    ranks[0].wait()
    ask_to_stop(ranks)
    assert ranks[1].wait(30) == 75
