"""What is there in a store, and files that are whole whenever they are read; through fsspec.

fsspec's own `exists` and `isdir` answer False when the store fails (most drivers inherit them), and its
`pipe_file` empties a file before it writes.
"""

from __future__ import annotations

import os

import fsspec
from fsspec.implementations.local import LocalFileSystem

_NOT_THERE = (FileNotFoundError, NotADirectoryError)


def exists(filesystem: fsspec.AbstractFileSystem, path: str) -> bool:
    """Whether there is a file or folder. Raises OSError (or what its driver raises) when a store fails."""
    try:
        filesystem.info(path)
    except _NOT_THERE:
        return False
    return True


def names_in(filesystem: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    """Names of what lies in a folder; none where there is no such folder. Raises like `exists`."""
    try:
        paths = filesystem.ls(folder, detail=False)
    except _NOT_THERE:
        return []
    return [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]


def is_inside(filesystem: fsspec.AbstractFileSystem, folder: str, path: str) -> bool:
    """Whether a path below a folder is still in it once links are followed. The folder may be a link itself.

    Other than local file systems are taken to have no links.
    """
    if not isinstance(filesystem, LocalFileSystem):
        return True
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


def write_whole(uri: str, content: bytes) -> None:
    """Write a file under a hidden name, then move it into place: a reader sees the old one or the new one."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    folder, _, name = path.rpartition("/")
    hidden = f"{folder}/.{name}.tmp"
    filesystem.pipe_file(hidden, content)
    filesystem.mv(hidden, path)
