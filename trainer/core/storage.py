"""Files of any file system that fsspec has a driver for: this machine's, s3://, hdfs://, memory://.

A store behind a network fails now and then. What it does not give or take is asked of it again, a few times,
ever later; drivers (s3fs) do the same below for the errors that they know.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

WAITS = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, or up to half as long again: not all ranks come back in one moment."""

_FINAL = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""Answers, though unwelcome: the same would come again."""


class NoAnswer(OSError):
    """A store failed in every try."""


class CannotRead(ContractError):
    """A file is out of reach: the store does not answer, it is gone, its reading is forbidden."""

    def __init__(self, what: str, error: Exception) -> None:
        super().__init__(
            f"{what} cannot be read: {error if isinstance(error, NoAnswer) else describe(error)}",
            "what a run reads stays within its reach while it trains",
            "see that it is there and the store answers (address, credentials), then start again: a run goes "
            "on from its newest checkpoint",
        )


def file_system(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path or URI, and the path in it. Raises ContractError where there is no driver."""
    try:
        return fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise ContractError(
            f"{uri} cannot be opened: {error}",
            "files are reached by the drivers of fsspec",
            "check the beginning of the URI, or install the package that is named",
        ) from error


def is_local(uri: str) -> bool:
    """Whether it is a file of this machine (or mounted here)."""
    return isinstance(file_system(uri)[0], LocalFileSystem)


def retried(uri: str, work: Callable[[], Result]) -> Result:
    """The result of work that reads or writes below `uri`; on a remote store, done again when it fails.

    It must be harmless to do it twice. Raises NoAnswer, and at once whatever would not pass by itself.
    """
    if is_local(uri):
        return work()
    for number, wait in enumerate([*WAITS, None], start=1):
        try:
            return work()
        except Exception as error:
            if not _may_pass(error):
                raise
            if wait is None:
                raise NoAnswer(f"{describe(error)} (the last of {number} tries)") from error
            LOG.warning("%s: %s; try %d of %d failed", uri, describe(error), number, len(WAITS) + 1)
            time.sleep(wait * random.uniform(1, 1.5))
    raise AssertionError


def reading(uri: str, work: Callable[[], Result]) -> Result:
    """The result of work that reads below `uri`, tried again like `retried`. Raises CannotRead."""
    try:
        return retried(uri, work)
    except OSError as error:
        raise CannotRead(uri, error) from error


def read_whole(uri: str, num_bytes: int) -> bytes:
    """A file's content. num_bytes: how long it is; from a remote store less is asked for again.

    Raises CannotRead.
    """
    filesystem, path = file_system(uri)
    local = isinstance(filesystem, LocalFileSystem)

    def fetch() -> bytes:
        content = filesystem.cat_file(path)
        if not local and len(content) != num_bytes:
            raise OSError(f"{len(content)} bytes came of {num_bytes}")
        return content

    return reading(uri, fetch)


def _may_pass(error: Exception) -> bool:
    """Whether another try may do better: errors of input and output, and those that only a driver knows."""
    if isinstance(error, OSError):
        return not isinstance(error, _FINAL)
    return type(error).__module__ != "builtins" and not isinstance(error, ValueError)


def describe(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
