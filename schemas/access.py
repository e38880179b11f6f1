"""Who can read a local folder of patient data: its owner alone, or a group that was named.

The folder's own mode decides, from before the first byte: what is in it gets that mode once it is published.
A store has rules of its own; there is nothing to do for it here.
"""

from __future__ import annotations

import grp
import os
import re

from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError

OWNER_ONLY = 0o700
SHARED = 0o2750  # what is made in it later has its group, too
_OTHERS = 0o007
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_READ_AND_WRITE = 0o666


def make_private(uri: str, shared_group: str | None = None) -> None:
    """Make a local folder that its owner alone can enter, or also the members of a group, who only read.

    A folder that is there is changed. Raises ContractError where the group or the folder is not this user's.
    """
    path = _local(uri)
    if path is None:
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if not os.path.isdir(path):
        os.mkdir(path, OWNER_ONLY)
    try:
        if shared_group is not None:
            os.chown(path, -1, grp.getgrnam(shared_group).gr_gid)
        os.chmod(path, OWNER_ONLY if shared_group is None else SHARED)
    except (KeyError, PermissionError) as error:
        if shared_group is None and not os.stat(path).st_mode & _OTHERS:
            return  # another's folder, in which we may write, and which others can't enter
        raise ContractError(
            f"{uri} cannot be given to {'its owner alone' if shared_group is None else shared_group}"
            f" ({type(error).__name__})",
            "patient data are for one user, or also for a group of that user's that --shared_group names",
            "run as the folder's owner, or name one of the groups that `id` lists",
        ) from error


def settle_access(uri: str) -> None:
    """Give all that is in a private local folder the folder's own mode; files without the right to run."""
    path = _local(uri)
    if path is None or os.stat(path).st_mode & _OTHERS:
        return
    mode = os.stat(path).st_mode & 0o7777
    for folder, folders, files in os.walk(path):
        for name in folders:
            _change(os.path.join(folder, name), mode)
        for name in files:
            _change(os.path.join(folder, name), mode & _READ_AND_WRITE)


def _change(path: str, mode: int) -> None:
    if not os.path.islink(path) and os.stat(path).st_mode & 0o7777 != mode:
        os.chmod(path, mode)


def _local(uri: str) -> str | None:
    """The path of a local folder; None of a store's, for which no driver is asked here."""
    scheme = _SCHEME.match(uri)
    return None if scheme and scheme[1] != "file" else LocalFileSystem._strip_protocol(uri)
