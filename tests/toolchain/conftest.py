"""The tool chain's scripts are no package: they import one another as neighbours, as when they are run."""

import importlib
import os

import pytest


@pytest.fixture
def toolchain(project_root, monkeypatch):
    """`toolchain("install")` imports toolchain/install.py."""
    monkeypatch.syspath_prepend(os.path.join(project_root, "toolchain"))
    return importlib.import_module
