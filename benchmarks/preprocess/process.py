"""Run one program to its end, watching the memory and CPU time of it and all that it starts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

SAMPLE_S = 0.5
REPORT_S = 15.0


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
    """Run a command, its output to the file `log`. Raises RuntimeError, with the log's end, if it fails."""
    usage, started, said = Usage(), time.monotonic(), 0.0
    with open(log, "w", encoding="utf-8") as output:
        program = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        try:
            root = psutil.Process(program.pid)
            while program.poll() is None:
                try:
                    usage.sample(root)
                except psutil.NoSuchProcess:
                    break
                passed = time.monotonic() - started
                if passed - said >= REPORT_S:
                    said = passed
                    print(f"  {name}: {passed:.0f} s, {usage.total_peak / 2**30:.1f} GiB at most", flush=True)
                time.sleep(SAMPLE_S)
        finally:
            if program.poll() is None:
                program.terminate()
            program.wait()
    usage.wall_s = time.monotonic() - started
    if program.returncode:
        with open(log, encoding="utf-8") as text:
            raise RuntimeError(f"{name} failed ({program.returncode}), see {log}:\n{text.read()[-3000:]}")
    print(f"{name}: {usage.wall_s:.1f} s", flush=True)
    return usage
