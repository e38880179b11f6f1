"""What is there in a store, small files read whole, and files that are whole whenever they are read.

All of it through fsspec.

Its own `exists` and `isdir` answer False when the store fails (most drivers inherit them), and its
`pipe_file` empties a file before it writes.
"""

from __future__ import annotations

import json
import os
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError, NotThere
from schemas.small_files import MOST_BYTES, read_small_file

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


def read_whole_file(uri: str, rule: str, remedy: str, most_bytes: int = MOST_BYTES) -> bytes:
    """A small file's content.

    rule, remedy: what the file is and what to do, for messages. Raises NotThere where there is no such file,
    ContractError for a folder, a file that may not be read or one of more than `most_bytes`, and OSError (or
    what its driver raises) when a store fails.
    """
    try:
        return read_small_file(uri, most_bytes)
    except _NOT_THERE as error:
        raise NotThere(f"{uri} does not exist", rule, remedy) from error
    except IsADirectoryError as error:
        raise ContractError(f"{uri} is a folder", rule, remedy) from error
    except PermissionError as error:
        raise ContractError(f"{uri} may not be read: permission denied", rule, remedy) from error


def read_text(uri: str, rule: str, remedy: str, most_bytes: int = MOST_BYTES) -> str:
    """A small text file, as read_whole_file reads it and decode_text decodes it."""
    return decode_text(read_whole_file(uri, rule, remedy, most_bytes), uri, rule, remedy)


def decode_text(content: bytes, where: str, rule: str, remedy: str) -> str:
    """Text in UTF-8, without the byte order mark. Raises ContractError, naming the line, for any other."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ContractError(f"{where} line {line} is not text in UTF-8", rule, remedy) from error


def read_json(uri: str, rule: str, remedy: str) -> Any:
    """A small JSON file, as read_whole_file reads it and parse_json parses it."""
    return parse_json(read_whole_file(uri, rule, remedy), uri, rule, remedy)


def parse_json(content: str | bytes, where: str, rule: str, remedy: str) -> Any:
    """JSON in UTF-8. Raises ContractError for what is none, however deep it is nested."""
    try:
        return json.loads(content.decode() if isinstance(content, bytes) else content)
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{where} cannot be read as JSON ({type(error).__name__})", rule, remedy
        ) from error


def write_whole(uri: str, content: bytes) -> None:
    """Write a file under a hidden name, then move it into place: a reader sees the old one or the new one."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    folder, _, name = path.rpartition("/")
    hidden = f"{folder}/.{name}.tmp"
    filesystem.pipe_file(hidden, content)
    filesystem.mv(hidden, path)
