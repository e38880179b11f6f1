"""The ranks of a run as processes of this host: which there are, and which are frozen."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from trainer.run_name import RUN_VARIABLE

CHECK_SECONDS = 5.0


def ranks_below(process: int, run: str | None = None) -> list[psutil.Process]:
    """The processes below this one that are a rank (of a certain run), without those that a rank started."""
    found: dict[int, psutil.Process] = {}
    for child in psutil.Process(process).children(recursive=True):  # parents come before their children
        try:
            environment = child.environ()
            is_rank = "HOROVOD_RANK" in environment and run in (None, environment.get(RUN_VARIABLE))
            if is_rank and child.ppid() not in found:
                found[child.pid] = child
        except psutil.Error:
            continue  # it ended meanwhile
    return list(found.values())


def ask_to_stop(ranks: Iterable[psutil.Process]) -> None:
    """SIGTERM to each of them."""
    for rank in ranks:
        with suppress(psutil.Error):  # it ended meanwhile
            rank.terminate()


def name_frozen_ranks() -> None:
    """From now on, as long as this process lives, say of the ranks below it which are frozen.

    A frozen rank cannot say so itself, and the others know only that somebody does not answer.
    """
    threading.Thread(target=_watch, name="frozen ranks", daemon=True).start()


def _watch() -> None:
    known: set[int] = set()
    while True:
        time.sleep(CHECK_SECONDS)
        frozen = {process.pid: rank for process, rank in _frozen(ranks_below(os.getpid()))}
        for process, rank in frozen.items():
            if process not in known:
                sys.stderr.write(
                    f"rank {rank} (process {process}) is frozen: a signal stopped it (SIGSTOP). SIGCONT lets "
                    "it go on; without it, the run ends once the other ranks have waited long enough\n"
                )
        known = set(frozen)


def _frozen(ranks: Iterable[psutil.Process]) -> Iterable[tuple[psutil.Process, str]]:
    for process in ranks:
        try:
            if process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
                yield process, process.environ()["HOROVOD_RANK"]
        except psutil.Error:
            continue  # it ended meanwhile
