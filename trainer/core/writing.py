"""What a run says when it cannot write: a full disk is the user's to mend, and no traceback tells how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import ContractError


class CannotWrite(ContractError):
    """A disk is full, a quota is used up, a folder is read-only, a store does not answer."""

    def __init__(self, uri: str, error: OSError) -> None:
        super().__init__(
            f"{uri} cannot be written: {error.strerror or error}",
            "a run keeps its checkpoints and its log; those already there are untouched",
            "make room (or lower keep_checkpoints and keep_best) and start again: the run goes on from its "
            "newest checkpoint",
        )


@contextmanager
def writing(uri: str) -> Iterator[None]:
    """Raises CannotWrite for any OSError in here."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(uri, error) from error
