"""What a run says when it cannot write: a full disk is the user's to mend, and no traceback tells how."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import ContractError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CannotWrite(ContractError):
    """A disk is full, a quota is used up, a folder is read-only, a store does not answer."""

    def __init__(self, uri: str, error: OSError) -> None:
        super().__init__(
            f"{uri} cannot be written: {error.strerror or error}",
            "a run keeps its checkpoints and its log; those already there are untouched",
            f"{_remedy(error)}, then start again: the run goes on from its newest checkpoint",
        )


def _remedy(error: OSError) -> str:
    if error.errno in _NO_ROOM:
        return "make room (or lower keep_checkpoints and keep_best)"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return "let this user write there"
    return "see that it can be written (the path, room, and of a store its answers and the credentials)"


@contextmanager
def writing(uri: str) -> Iterator[None]:
    """Raises CannotWrite for any OSError in here."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(uri, error) from error
