"""The outermost handler of every program: what its user can fix is one message, and no traceback.

A full disk, a file that may not be read, an interrupt: the program is not at fault, and says what to do. Any
other error is one of ours, and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.errors import OneMessage

OK = 0
REFUSED = 2
"""Exit status for data, a folder or an option that breaks a contract, and for a machine that cannot go on."""
INTERRUPTED = 128 + signal.SIGINT

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let this user read and write there, or name another path"),
    errno.EROFS: "name another path, or mount the disk for writing",
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR), "check the path"),
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f), or write to another disk",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit on open files (ulimit -n)"),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "check the disk and the network, then start again"),
}
# Drivers of stores, whose errors are not all OSErrors.
_DRIVERS = frozenset({"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "adlfs"})
_NO_DRIVER = "Protocol not known"
"""How fsspec's ValueError begins."""


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")


@dataclass
class Told:
    """What a message needs to know of a program, which fills it in as it learns it.

    output: the folder or file that it writes. scratch: where else it writes, in words. say: takes the
    message.
    """

    output: str | None = None
    scratch: str = field(default_factory=lambda: f"the temporary folder {tempfile.gettempdir()}")
    say: Callable[[str], object] = _to_stderr


def run_program(work: Callable[[Told], int]) -> int:
    """Do a program's work; its exit status, REFUSED where its user can fix what went wrong."""
    told = Told()
    try:
        status = work(told)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read what is printed has enough. What is left must not be written at exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        told.say("interrupted. Start it again to go on.")
        return INTERRUPTED
    except Exception as error:
        message = message_of(error, told)
        if message is None:
            raise
        told.say(message)
        return REFUSED
    return status


def message_of(error: Exception, told: Told) -> str | None:
    """What to tell the user in the place of a traceback; None for an error that is no user's to fix."""
    if isinstance(error, OneMessage):
        return str(error)
    if full := _no_space(error):
        return (
            f"a disk is full: {os.strerror(full)} in --output {told.output or ''}, or in {told.scratch}. "
            "Rule: a program needs space for its output, and for what it writes on the way. Remedy: make "
            "space, or name another folder, and start again; no program reads what is there now."
        )
    number = _system_error(error)
    if number in _REMEDIES:
        where = getattr(error, "filename", None) or told.output or "a file"
        return f"{os.fsdecode(where)}: {os.strerror(number)}. Remedy: {_REMEDIES[number]}."
    if isinstance(error, MemoryError):
        return "the machine has not enough memory. Remedy: run it where there is more."
    if isinstance(error, (ConnectionError, TimeoutError)) or _package(error) in _DRIVERS:
        return (
            f"a store does not answer ({_in_one_line(error)}). "
            "Remedy: check its address, the network and the credentials, then start again."
        )
    if str(error).startswith(_NO_DRIVER):
        return f"{_in_one_line(error)}. Remedy: check the beginning of the URI."
    if isinstance(error, ImportError) and _package(error) == "builtins" and "fsspec" in _files_of(error):
        return f"a path cannot be opened: {_in_one_line(error)}. Remedy: install the package that is named."
    return None


def _no_space(error: BaseException | None) -> int:
    """The number of an error for want of space that is behind an error; 0 for none.

    It is looked for in every error before, as what fails next hides it, and in their texts: TensorFlow,
    safetensors, Arrow and the JVM hand on the system's words, not its number.
    """
    while error:
        for number in _NO_SPACE:
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                return number
        error = error.__cause__ or error.__context__
    return 0


def _system_error(error: Exception) -> int:
    """The system's number of an error, from the text of one of the JVM's; 0 for none."""
    if isinstance(error, OSError):
        return error.errno or 0
    if _package(error) in ("py4j", "pyspark"):
        return next((of for of in (errno.EACCES, errno.EROFS) if os.strerror(of) in str(error)), 0)
    return 0


def _files_of(error: BaseException) -> str:
    """The files of an error's traceback."""
    files, at = [], error.__traceback__
    while at:
        files.append(at.tb_frame.f_code.co_filename)
        at = at.tb_next
    return " ".join(files)


def _package(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
