"""Temporary files that outlive no process for long: what a killed one left is cleared by the next."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.owner import Owner

LOG = logging.getLogger(__name__)

_PREFIX = "medbert-lake"


@contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder of mode 0700 in the system's temporary one, named after this process, removed at the end.

    Those that killed processes of this user and machine left there are removed first.
    """
    _clear()
    me = Owner.this_process()
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}.{me.machine}.{me.process}.{me.began}.")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_files_in(folder: str) -> Iterator[None]:
    """Everything temporary of this process and of those that it starts is below a local folder."""
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        tempfile.tempdir = before
        if variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = variable


def _clear() -> None:
    try:
        entries = list(os.scandir(tempfile.gettempdir()))
    except OSError:
        return  # some systems let nobody list it
    for entry in entries:
        parts = entry.name.split(".")
        if parts[0] != _PREFIX or len(parts) != 5 or not parts[2].isdecimal():
            continue
        owner = Owner("", parts[1], int(parts[2]), parts[3])
        if owner.is_gone() and _is_mine(entry):
            LOG.info("%s is removed: its process was killed", entry.path)
            shutil.rmtree(entry.path, ignore_errors=True)


def _is_mine(entry: os.DirEntry[str]) -> bool:
    try:
        return (
            entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
        )
    except OSError:
        return False
