import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.preprocess.process import run_measured

# A program that starts another, as spark-submit starts Python workers, and says both ids.
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
child.wait()
"""

BUSY = """
import time
held = b"x" * 50_000_000
sum(range(1_000_000))
time.sleep(3)
"""

BENCHMARK = """
import os, sys
from benchmarks.preprocess.process import run_measured
run_measured("parent", [sys.executable, "-c", sys.argv[1]], os.environ, sys.argv[2])
"""


def test_usage_of_a_program_that_ends(tmp_path):
    usage = run_measured("busy", [sys.executable, "-c", BUSY], os.environ, str(tmp_path / "log"))
    assert usage.wall_s >= 3
    assert usage.total_peak == usage.workers_peak >= 50_000_000
    assert usage.jvm_peak == 0
    assert 0 < usage.cpu_s < 30


def test_a_failure_shows_the_end_of_the_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)broken failed \(3\).*the reason"):
        code = "print('the reason'); raise SystemExit(3)"
        run_measured("broken", [sys.executable, "-c", code], os.environ, str(tmp_path / "log"))


def test_sigterm_ends_the_program_and_what_it_started(tmp_path, project_root):
    log = tmp_path / "log"
    benchmark = subprocess.Popen([sys.executable, "-c", BENCHMARK, PARENT, str(log)], cwd=project_root)
    try:
        started = ids_in(log)
        benchmark.send_signal(signal.SIGTERM)
        assert benchmark.wait(60) == 128 + signal.SIGTERM
        assert not [pid for pid in started if psutil.pid_exists(pid)]
    finally:
        benchmark.kill()


def ids_in(log) -> list[int]:
    """Wait for the program to say them."""
    for _ in range(600):
        if log.exists() and log.read_text().endswith("\n"):
            return [int(word) for word in log.read_text().split()]
        time.sleep(0.1)
    raise AssertionError("the program never started")
