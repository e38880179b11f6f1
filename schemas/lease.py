"""One writer a folder: a stage holds a lease on its output from its first change there to its end.

The lease is a hidden file in the folder, with the holder's host, process and last heartbeat. It is made by
exclusive creation (O_EXCL on a disk, shared ones too; a conditional put on a store), so of two that begin
together one is refused. The lease of a process that has ended without removing it is taken over: of this
machine at once; of another once its heartbeat has stood still for STALE_SECONDS by this machine's own clock,
so no two clocks are compared.

Taking over must be exclusive, too, or a third process could remove the new lease in the belief that it is
the stale one. So whoever takes over first takes a second lease, a claim, named after the stale one's token,
then looks whether the stale one is still there, and puts the claim in its place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from types import FrameType
from typing import Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.owner import Owner

LOG = logging.getLogger(__name__)

LEASE_NAME = ".lease.json"
BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_TAKEN = signal.SIGURG
"""Sent to the main thread when the lease is lost: what a shell starts with & ignores the signal of Ctrl-C."""
_LOOK_SECONDS = 1.0
_MOST_TRIES = 20


class FolderInUse(ContractError):
    """Another process writes there."""

    def __init__(self, what: str, path: str, holder: Holder) -> None:
        super().__init__(
            f"{what} is in use: {holder.in_words()}",
            "one process at a time writes into a folder",
            f"wait until it has ended, or choose another output; if it ended long ago, remove {path}",
        )


@dataclass(frozen=True)
class Holder:
    """What a lease says. since, beat: in UTC. run: a name that the processes of one launch share, if any."""

    token: str
    owner: Owner
    since: str
    beat: str
    run: str | None = None

    def in_words(self) -> str:
        if not self.since:
            return "its lease does not say by which process"
        return (
            f"process {self.owner.process} on {self.owner.host} has held it since {self.since}; its last "
            f"heartbeat was at {self.beat}"
        )

    def to_bytes(self) -> bytes:
        """Of the same length at each heartbeat."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Holder:
        """What can't be read, such as a file that is being created, is of a holder that nobody knows."""
        try:
            plain = json.loads(content)
            holder = cls(**{**plain, "owner": Owner(**plain["owner"])})
            holder._check_types()
            return holder
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls(hashlib.sha256(content).hexdigest()[:32], Owner("", "", 0, ""), "", "")

    def _check_types(self) -> None:
        """Raises TypeError."""
        owner = self.owner
        texts = (self.token, self.since, self.beat, self.run or "", owner.host, owner.machine, owner.began)
        if type(owner.process) is not int or not all(isinstance(text, str) for text in texts):
            raise TypeError
        if not self.token.isalnum():  # it becomes a part of a file's name
            raise TypeError


class FileSystem(Protocol):
    """What a lease asks of a file system; fsspec's have it."""

    def cat_file(self, path: str) -> bytes:
        """Raises FileNotFoundError."""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None:
        """mode: create raises where there is a file already."""

    def rm_file(self, path: str) -> None: ...


class Lease:
    """A lease of this process. `hold` is how stages use it."""

    def __init__(
        self, uri: str, what: str, run: str | None = None, filesystem: FileSystem | None = None
    ) -> None:
        """uri: of the lease's own file. what: is leased, for messages. filesystem: fsspec's for the uri."""
        self._what, self._run = what, run
        self._filesystem: FileSystem
        self._path: str
        self._filesystem, self._path = (filesystem, uri) if filesystem else fsspec.core.url_to_fs(uri)
        self._is_local = isinstance(self._filesystem, LocalFileSystem)
        self._uri = self._path if self._is_local else uri
        now = _now()
        self._me = Holder(uuid.uuid4().hex, Owner.this_process(), now, now, run)
        self._made: list[str] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None
        self.taken_by: FolderInUse | None = None
        """Set once another process has taken this lease over."""

    def acquire(self) -> None:
        """Take the lease; harmless to do twice. Raises FolderInUse, or OSError where it cannot be written."""
        if self._is_local:
            self._make_folder()
        self._take(self._path)
        if self._heart is None:
            interrupts = threading.current_thread() is threading.main_thread()
            self._heart = threading.Thread(target=self._beat, args=(interrupts,), name="lease", daemon=True)
            self._heart.start()

    def release(self) -> None:
        """Remove the lease if it is still this one's, and folders that it made and nobody used."""
        self._ended.set()
        with self._lock:
            try:
                found = self._read(self._path)
                if found is not None and found.token == self._me.token:
                    self._filesystem.rm_file(self._path)
            except Exception as error:
                LOG.warning("the lease %s is left over: %s", self._uri, _in_line(error))
        for folder in reversed(self._made):
            with suppress(OSError):
                os.rmdir(folder)

    @contextmanager
    def moving(self, folder: str) -> Iterator[None]:
        """Around what puts another local folder in the place of the held one: that gets the lease, too."""
        with self._lock:
            with open(os.path.join(folder, os.path.basename(self._path)), "wb") as stream:
                stream.write(self._me.to_bytes())
            yield

    def _make_folder(self) -> None:
        """Raises ContractError where it is a file."""
        folder, missing = os.path.dirname(self._path), []
        while folder and not os.path.lexists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise ContractError(f"{folder} is a file", "outputs lie in folders", "choose another output")
        for name in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(name)
                self._made.append(name)

    def _take(self, path: str) -> None:
        for _ in range(_MOST_TRIES):
            error = self._try_to_create(path)
            if self._is_local and error is None:
                return
            found = self._read(path)
            if found is None:
                if isinstance(error, FileExistsError):
                    continue  # it was released meanwhile
                raise error or OSError(f"{path} was written and is not there")
            if found.token == self._me.token:
                return
            if not self._is_stale(path, found):
                raise FolderInUse(self._what, path, found)
            if self._replace(path, found):
                LOG.warning("%s: a stale lease was taken over: %s", self._what, found.in_words())
                return
        raise OSError(f"the lease {path} could not be taken in {_MOST_TRIES} tries")

    def _try_to_create(self, path: str) -> Exception | None:
        """Each driver has an error of its own for what is there already."""
        try:
            self._create(path)
        except Exception as error:
            return error
        return None

    def _replace(self, path: str, stale: Holder) -> bool:
        """Whether the stale lease was still there to be replaced."""
        claim = f"{path}.{stale.token}"
        self._take(claim)
        found = self._read(path)
        if found is None or found.token != stale.token:
            self._filesystem.rm_file(claim)
            return False
        if self._is_local:
            os.replace(claim, path)
        else:
            self._filesystem.pipe_file(path, self._me.to_bytes())
            self._filesystem.rm_file(claim)
        return True

    def _is_stale(self, path: str, found: Holder) -> bool:
        """False where somebody lives; True where nobody does, or the lease has changed hands meanwhile."""
        if self._run is not None and found.run == self._run:
            return True
        gone = found.owner.is_gone()
        if gone is not None:
            return gone
        LOG.warning(
            "%s: %s. Waiting for its next heartbeat, up to %d seconds",
            self._what, found.in_words(), STALE_SECONDS,
        )  # fmt: skip
        end = time.monotonic() + STALE_SECONDS
        while time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            now = self._read(path)
            if now is None or now.token != found.token:
                return True
            if now.beat != found.beat:
                return False
        return True

    def _create(self, path: str) -> None:
        """Raises FileExistsError, or whatever its driver raises, where there is one."""
        if not self._is_local:
            self._filesystem.pipe_file(path, self._me.to_bytes(), mode="create")
            return
        with open(path, "xb") as stream:
            try:
                stream.write(self._me.to_bytes())
                stream.flush()
            except OSError:
                os.remove(path)
                raise

    def _read(self, path: str) -> Holder | None:
        try:
            return Holder.from_bytes(self._filesystem.cat_file(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _beat(self, interrupts: bool) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._lock:
                if self._ended.is_set():
                    return
                try:
                    self._me = replace(self._me, beat=_now())
                    found = self._refresh()
                except Exception as error:
                    LOG.warning("no heartbeat for the lease %s: %s", self._uri, _in_line(error))
                    continue
            if found.token != self._me.token:
                self.taken_by = FolderInUse(self._what, self._uri, found)
                LOG.error("%s", self.taken_by)
                if interrupts and (main := threading.main_thread().ident):
                    signal.pthread_kill(main, _TAKEN)
                return

    def _refresh(self) -> Holder:
        """Write the heartbeat; who holds the lease. One that somebody removed is made again."""
        content = self._me.to_bytes()
        if not self._is_local:
            found = self._read(self._path)
            if found is None:
                self._create(self._path)
            elif found.token == self._me.token:
                self._filesystem.pipe_file(self._path, content)
            return found or self._me
        try:
            # Whoever takes over puts another file in the place of this one, which then is not written to.
            with open(self._path, "r+b", buffering=0) as stream:
                found = Holder.from_bytes(stream.read())
                if found.token == self._me.token:
                    stream.seek(0)
                    stream.write(content)
                return found
        except FileNotFoundError:
            self._create(self._path)
            return self._me


@contextmanager
def hold(
    folder: str,
    *,
    run: str | None = None,
    attempt: Callable[[Callable[[], None]], None] | None = None,
    filesystem: FileSystem | None = None,
) -> Iterator[Lease]:
    """Hold the lease on an output folder: the only writer there is this block.

    SIGTERM ends the block as Ctrl-C does, so that the lease is removed, unless the process has a handler of
    its own. Where another process takes the lease over, thinking that this one is gone, the block is
    interrupted. run: names a launch of several processes, of which one holds the lease: it is taken over from
    one of the same launch at once. attempt: does its argument, again where a store fails. filesystem: that of
    the folder, else fsspec's. Raises FolderInUse.
    """
    with _held(Lease(join(folder, LEASE_NAME), folder, run, filesystem), attempt) as lease:
        yield lease


@contextmanager
def hold_file(uri: str) -> Iterator[Lease]:
    """The same for an output that is one file among others."""
    folder, _, name = uri.rpartition("/")
    path = f".{name}{LEASE_NAME}"
    with _held(Lease(join(folder, path) if folder else path, uri)) as lease:
        yield lease


@contextmanager
def _held(lease: Lease, attempt: Callable[[Callable[[], None]], None] | None = None) -> Iterator[Lease]:
    with _sigterm_unwinds(), _loss_unwinds():
        try:
            if attempt:
                attempt(lease.acquire)
            else:
                lease.acquire()
            yield lease
        except KeyboardInterrupt:
            if lease.taken_by is not None:
                raise lease.taken_by from None
            raise
        finally:
            lease.release()


@contextmanager
def _loss_unwinds() -> Iterator[None]:
    """The signal that the lease is lost ends the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(_TAKEN, end)
    try:
        yield
    finally:
        signal.signal(_TAKEN, before)


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """SIGTERM, which ends Python at once, ends the block in order. A second one changes nothing."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _now() -> str:
    return datetime.now(UTC).isoformat(" ", "seconds")


def _in_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
