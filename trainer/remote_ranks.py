"""The ranks of a run on other hosts than the launcher's: where they are, and how they are asked to stop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from shlex import quote
from typing import Any

from horovod.runner.util.network import filter_local_addresses
from horovod.runner.util.remote import get_remote_command

import trainer
from trainer import preemption

Execute = Callable[[str, Any, Any], Any]
"""Horovod's: run a rank's command, slot (where), events; returns when the rank has ended."""

_CONNECT_SECONDS = 10
_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(trainer.__file__)))
"""At the same place on every host."""


class RemoteRanks:
    """Which there are at the moment: in an elastic run they come and go."""

    def __init__(self, run: str) -> None:
        """run: its name, see trainer.rank_processes."""
        self._run = run
        self._hosts: list[str] = []
        """The host of each rank."""
        self._commands: dict[str, str] = {}
        """Of each host: what asks its ranks."""

    def watched(self, make_execute: Callable[[Any], Execute]) -> Callable[[Any], Execute]:
        """The same as Horovod's own, but it says here of each rank where it runs."""

        def make(settings: Any) -> Execute:
            execute = make_execute(settings)

            def execute_watched(command: str, slot: Any, events: Any) -> Any:
                host = slot.hostname
                if not filter_local_addresses([host]):
                    return execute(command, slot, events)
                self._commands[host] = self._stop_command(host, settings)
                self._hosts.append(host)
                try:
                    return execute(command, slot, events)
                finally:
                    self._hosts.remove(host)

            return execute_watched

        return make

    def ask_to_stop(self) -> bool:
        """Begin to ask all of them; whether there are any."""
        hosts = set(self._hosts)
        for host in hosts:
            threading.Thread(target=self._ask, args=(host,), name=f"stop {host}", daemon=True).start()
        return bool(hosts)

    def _ask(self, host: str) -> None:
        done = subprocess.run(self._commands[host], shell=True, stdin=subprocess.DEVNULL)
        if done.returncode not in (0, 1):  # the command's own; 255 is ssh's
            sys.stderr.write(
                f"the ranks on {host} could not be asked to stop (exit code {done.returncode}); if none is "
                f"asked elsewhere, they are killed in {preemption.GRACE_SECONDS} s\n"
            )

    def _stop_command(self, host: str, settings: Any) -> str:
        words = [sys.executable, "-m", preemption.__name__, self._run]
        command = f"cd {quote(_PROJECT)} && {' '.join(map(quote, words))}"
        return get_remote_command(
            quote(command), host, settings.ssh_port, settings.ssh_identity_file, _CONNECT_SECONDS
        )
