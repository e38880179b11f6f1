"""Fixtures for every test."""

import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="session")
def project_root() -> str:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> str:
    """The folder of reference data beside the project: ../shared. Skips where it is absent."""
    folder = os.path.join(os.path.dirname(ROOT), "shared")
    if not os.path.isdir(folder):
        pytest.skip(f"the reference data are not there: {folder}")
    return folder
