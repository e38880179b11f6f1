"""Make a folder anew without losing the old one before the new one is whole.

The old one is moved aside, not copied and not built elsewhere: a virtual environment's scripts hold its path.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def made_anew(folder: str, log: str, whole: bool) -> Iterator[None]:
    """Within this `folder` is not there, to be made. Where that fails the old one comes back.

    whole: whether the old one is worth keeping till then. log: a file in the folder, kept in either case.
    """
    old = _aside(folder)
    if whole:
        os.rename(folder, old)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    except BaseException:
        if os.path.exists(old):
            if os.path.exists(log):
                os.replace(log, os.path.join(old, os.path.relpath(log, folder)))
            put_back(folder)
        raise
    if os.path.exists(old):
        # First in one step: killed while it is removed, it must not pass for the one to put back.
        os.rename(old, _removed(folder))
    shutil.rmtree(_removed(folder), ignore_errors=True)


def put_back(folder: str) -> None:
    """Undo what was begun and not ended, here or in a process that was killed, if there is any."""
    shutil.rmtree(_removed(folder), ignore_errors=True)
    old = _aside(folder)
    if os.path.exists(old):
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(old, folder)


def _aside(folder: str) -> str:
    return f"{folder}.old"


def _removed(folder: str) -> str:
    return f"{folder}.removed"
