"""The tool chain's scripts are no package: they import one another as neighbours, as when they are run."""

import importlib
import os

import psutil
import pytest

from tests.waiting import wait_for


@pytest.fixture
def toolchain(project_root, monkeypatch):
    """`toolchain("install")` imports toolchain/install.py."""
    monkeypatch.syspath_prepend(os.path.join(project_root, "toolchain"))
    return importlib.import_module


@pytest.fixture
def ends():
    """`ends(pid)` waits until a process that was killed has ended: the kernel ends it when it next runs.

    A parent may never ask how it ended, so a zombie counts. Raises TimeoutError.
    """

    def has_ended(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return lambda pid: wait_for(lambda: has_ended(pid), f"the end of process {pid}")
