"""Which process made something that lies on a disk, and whether that process is gone."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from dataclasses import dataclass
from functools import cache

_IS_LINUX = sys.platform == "linux"
_DEAD = ("Z", "X")


@dataclass(frozen=True)
class Owner:
    """One process.

    host: its machine's name, for people; containers and clones may share it. machine: where process numbers
    mean the same, a boot of one kernel and a namespace of its processes; empty where the system does not
    say. process: its number. began: when it started, by the kernel's own clock, since numbers are used again.
    """

    host: str
    machine: str
    process: int
    began: str

    @classmethod
    def this_process(cls) -> Owner:
        process = os.getpid()
        return cls(socket.gethostname(), _machine(), process, _began(process) or "")

    def is_gone(self) -> bool | None:
        """Whether the process has ended; None where that can't be told, as of one of another machine."""
        if not self.machine or self.machine != _machine():
            return None
        began = _began(self.process)
        if began is None:
            return None if _exists(self.process) else True
        return began != self.began


@cache
def _machine() -> str:
    if _IS_LINUX:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
                boot = f"{stream.read()}{os.readlink('/proc/self/ns/pid')}"
        except OSError:
            return ""
    else:
        import psutil

        boot = f"{socket.gethostname()}{psutil.boot_time()}"
    return hashlib.sha256(boot.encode()).hexdigest()[:16]


def _began(process: int) -> str | None:
    """Empty for a process that has ended, and whose parent has not taken note of that yet.

    None where there is no such process, or the system shows nobody those of other users (hidepid).
    """
    if not _IS_LINUX:
        return _began_elsewhere(process)
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
            # The name, in brackets, may have anything in it.
            state, *fields = stream.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return "" if state in _DEAD else fields[18]


def _began_elsewhere(process: int) -> str | None:
    import psutil

    try:
        found = psutil.Process(process)
        ended = found.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return "" if ended else str(round(found.create_time() * 1e6))
    except psutil.Error:
        return None


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
