"""The tool chain's scripts are no package: they import one another as neighbours, as when they are run."""

import importlib
import os
import time

import psutil
import pytest


@pytest.fixture
def toolchain(project_root, monkeypatch):
    """`toolchain("install")` imports toolchain/install.py."""
    monkeypatch.syspath_prepend(os.path.join(project_root, "toolchain"))
    return importlib.import_module


@pytest.fixture
def ends():
    """`ends(pid)` waits until a process that was killed has ended: the kernel ends it when it next runs.

    A parent may never ask how it ended, so a zombie counts. Raises AssertionError after a minute.
    """

    def wait(pid: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                    return
            except psutil.NoSuchProcess:
                return
            time.sleep(0.01)
        raise AssertionError(f"process {pid} still runs")

    return wait
