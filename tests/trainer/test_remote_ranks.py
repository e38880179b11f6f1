"""The launcher asks the ranks of other hosts through ssh, as long as they run."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import pytest

from trainer.remote_ranks import RemoteRanks

REMOTE = "192.0.2.1"  # nobody's
SETTINGS = SimpleNamespace(ssh_port=2222, ssh_identity_file=None)


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """ssh(code): from now on, ssh writes its arguments to the file returned, and ends with this exit code."""

    def replace(code):
        script = tmp_path / "ssh"
        script.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nexit {code}\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "asked"

    return replace


def ask_while_a_rank_runs_on(*hosts):
    """Whether there was somebody to ask, while ranks ran there, and after that."""
    remote, asked = RemoteRanks("this-run"), []

    def execute(command, slot, events):
        if events:
            return run(command, SimpleNamespace(hostname=events[0]), events[1:])
        asked.append(remote.ask_to_stop())
        for thread in threading.enumerate():
            if thread.name.startswith("stop "):
                thread.join()
        return 75, 0.0

    run = remote.watched(lambda settings: execute)(SETTINGS)
    assert run("train", SimpleNamespace(hostname=hosts[0]), hosts[1:]) == (75, 0.0)
    return (*asked, remote.ask_to_stop())


def test_each_other_host_is_asked_once_while_it_has_ranks(ssh):
    log = ssh(0)
    assert ask_while_a_rank_runs_on("127.0.0.1", REMOTE, REMOTE) == (True, False)
    (line,) = log.read_text().splitlines()
    assert f" {REMOTE} -p 2222 " in line and line.endswith(" -m trainer.preemption this-run")


def test_ranks_of_this_host_are_not_asked_so(ssh):
    log = ssh(0)
    assert ask_while_a_rank_runs_on("127.0.0.1") == (False, False)
    assert not log.exists()


def test_a_host_that_cannot_be_asked_is_named(ssh, capsys):
    ssh(255)
    ask_while_a_rank_runs_on(REMOTE)
    assert f"the ranks on {REMOTE} could not be asked to stop (exit code 255)" in capsys.readouterr().err
