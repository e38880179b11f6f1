"""Run one program to its end, watching the memory and CPU time of it and all that it starts."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

SAMPLE_S = 0.5
REPORT_S = 15.0
PATIENCE_S = 20.0  # for a program that was told to end


@dataclass
class Usage:
    """wall_s: from start to end of the program, start-up included. Bytes resident: peaks of the samples.

    workers_peak: Python processes beside a JVM, together; pages that they share count in each.
    cpu_s: of JVM and Python processes alike, as last seen of each.
    """

    wall_s: float = 0.0
    total_peak: int = 0
    jvm_peak: int = 0
    workers_peak: int = 0
    _cpu: dict[int, float] = field(default_factory=dict)

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu.values())

    def sample(self, root: psutil.Process) -> None:
        jvm = others = 0
        for process in [root, *root.children(recursive=True)]:
            try:
                resident, times, name = process.memory_info().rss, process.cpu_times(), process.name()
            except psutil.NoSuchProcess:
                continue
            self._cpu[process.pid] = times.user + times.system
            if name == "java":
                jvm += resident
            else:
                others += resident
        self.total_peak = max(self.total_peak, jvm + others)
        self.jvm_peak = max(self.jvm_peak, jvm)
        self.workers_peak = max(self.workers_peak, others)


def run_measured(name: str, command: Sequence[str], environment: Mapping[str, str], log: str) -> Usage:
    """Run a command, its output to the file `log`. Raises RuntimeError, with the log's end, if it fails.

    Ended before its time (SIGTERM, Ctrl-C), it ends the program and all that this started.
    """
    usage, started = Usage(), time.monotonic()
    with _exit_on_sigterm(), open(log, "w", encoding="utf-8") as output:
        program = psutil.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        try:
            _watch(name, program, usage)
        finally:
            if program.poll() is None:
                _end(program)
    usage.wall_s = time.monotonic() - started
    if program.returncode:
        with open(log, encoding="utf-8") as text:
            raise RuntimeError(f"{name} failed ({program.returncode}), see {log}:\n{text.read()[-3000:]}")
    print(f"{name}: {usage.wall_s:.1f} s", flush=True)
    return usage


def _watch(name: str, program: psutil.Popen, usage: Usage) -> None:
    started, said = time.monotonic(), 0.0
    while program.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            usage.sample(program)
        passed = time.monotonic() - started
        if passed - said >= REPORT_S:
            said = passed
            print(f"  {name}: {passed:.0f} s, {usage.total_peak / 2**30:.1f} GiB at most", flush=True)
        time.sleep(SAMPLE_S)


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Python ends on SIGTERM without a word to anyone; as SystemExit it passes through every `finally`."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(program: psutil.Popen) -> None:
    """End a program and all that it started; by force what is still there after a while."""
    tree = [program, *program.children(recursive=True)]
    for tell in (psutil.Process.terminate, psutil.Process.kill):
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                tell(process)
        _, tree = psutil.wait_procs(tree, timeout=PATIENCE_S)
