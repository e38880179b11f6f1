"""Write a folder so that it is there whole or not at all, and nothing else is left behind.

It is filled beside its final place, in a folder of mode 0700 that also takes each temporary file of the stage
and of its child processes. What a killed process left there is cleared by the next one, which holds the
output's lease and so knows that nobody uses it.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError
from schemas.files import exists, names_in
from schemas.lease import LEASE_NAME, Lease, hold
from schemas.manifest import MANIFEST_NAME, Manifest, join
from schemas.owner import Owner
from schemas.scratch import temporary_files_in, temporary_folder

_log = logging.getLogger(__name__)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_CANNOT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_CONTENT, _TEMPORARY, _OLDER = "content", "temporary", "older"


@contextmanager
def staged_folder(output: str, kind: str) -> Iterator[str]:
    """A local folder to fill; it becomes `output` when the block ends well, and else is removed.

    A finished folder of the same kind at `output` is replaced, once the new one is whole. The block writes
    the manifest last. Raises ContractError when something else is at `output`, or another process writes
    there.
    """
    filesystem, root = fsspec.core.url_to_fs(output)
    _check_replaceable(filesystem, root, output, kind)
    with hold(output) as lease:
        _check_replaceable(filesystem, root, output, kind)  # it may have waited for another
        if isinstance(filesystem, LocalFileSystem):
            root = os.path.realpath(root)
            _clear(root, lease)
            with _staging(root) as staging:
                with _filled(staging) as content:
                    yield content
                _move_into_place(staging, root, lease)
        else:
            _clear_uploads(filesystem, root)
            with temporary_folder() as staging, _filled(staging) as content:
                yield content
                _upload(filesystem, content, root)


def _check_replaceable(filesystem: fsspec.AbstractFileSystem, root: str, output: str, kind: str) -> None:
    if filesystem.isdir(root):
        if not set(names_in(filesystem, root)) - {LEASE_NAME}:
            return
        marker = join(root, MANIFEST_NAME)
        if filesystem.exists(marker):
            Manifest.from_json(filesystem.cat_file(marker), kind, output)  # raises for another kind
            return
    elif not filesystem.exists(root):
        return
    raise ContractError(
        f"{output} holds something that is no {kind} folder",
        f"a {kind} folder is written where nothing is, or over an older {kind} folder",
        "give another output folder, or move away what is there",
    )


@contextmanager
def _staging(root: str) -> Iterator[str]:
    """A folder beside a local output, so that moving it is a rename."""
    staging = os.path.join(os.path.dirname(root), _staging_name(os.path.basename(root)))
    os.mkdir(staging, 0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _filled(staging: str) -> Iterator[str]:
    """The folder within to fill. Meanwhile temporary files are beside it."""
    content, temporary = (os.path.join(staging, name) for name in (_CONTENT, _TEMPORARY))
    os.mkdir(content)
    os.mkdir(temporary)
    with temporary_files_in(temporary):
        yield content


def _staging_name(name: str) -> str:
    """Names the output and its process, for people: whether it is in use is known from the lease."""
    me = Owner.this_process()
    return f".{name}.{me.host.replace('.', '_')}-{me.process}-{uuid.uuid4().hex[:4]}.staging"


def _is_staging_of(name: str, found: str) -> bool:
    return re.fullmatch(rf"\.{re.escape(name)}\.[^.]+\.staging", found) is not None


def _clear(root: str, lease: Lease) -> None:
    """Remove what killed processes left beside a local output, and put back an older folder that is there."""
    parent, name = os.path.split(root)
    for found in sorted(os.listdir(parent)):
        if not _is_staging_of(name, found):
            continue
        staging = os.path.join(parent, found)
        older = os.path.join(staging, _OLDER)
        if _is_whole(older) and not _is_whole(root):
            _exchange_or_rename(older, root, os.path.join(staging, _CONTENT + _OLDER), lease)
            _log.warning("the older folder at %s is back: the process that replaced it was killed", root)
        shutil.rmtree(staging, ignore_errors=True)
        _log.warning("%s is removed: the process that wrote it was killed", staging)


def _is_whole(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, MANIFEST_NAME))


def _move_into_place(staging: str, root: str, lease: Lease) -> None:
    replaces = _is_whole(root)
    _exchange_or_rename(os.path.join(staging, _CONTENT), root, os.path.join(staging, _OLDER), lease)
    if replaces:
        _log.info("the older folder at %s was replaced", root)


def _exchange_or_rename(folder: str, root: str, older: str, lease: Lease) -> None:
    """Put a folder in the place of another, in one step where the system can: none finds neither.

    Else the other is at `older` for a moment; if the process is killed in it, `_clear` puts it back.
    """
    with lease.moving(folder):
        if _exchange(folder, root):
            return
        os.rename(root, older)
        try:
            os.rename(folder, root)
        except OSError:
            os.rename(older, root)
            raise


def _exchange(one: str, other: str) -> bool:
    """Exchange two folders in one step; False where kernel, C library or file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2  # Linux's own; Python has no name for it
    except (OSError, AttributeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), other)


def _upload(filesystem: fsspec.AbstractFileSystem, staging: str, root: str) -> None:
    """To a store without renames of folders: the manifest, which marks the folder as whole, goes last.

    Over an older folder, everything is uploaded beside it first: an upload that fails leaves it as it was.
    """
    names = sorted(os.listdir(staging), key=lambda name: (name == MANIFEST_NAME, name))
    if not filesystem.exists(join(root, MANIFEST_NAME)):
        _put(filesystem, staging, root, names)
        return
    parent, _, name = root.rstrip("/").rpartition("/")
    beside = join(parent, _staging_name(name))
    try:
        _put(filesystem, staging, beside, names)
    except BaseException:
        _remove(filesystem, beside)
        raise
    try:
        _replace(filesystem, beside, root, names)
    except BaseException:
        _log.error("%s could not be replaced; the new folder is whole at %s", root, beside)
        raise
    _clear_uploads(filesystem, root, whole_ones=True)
    _log.info("the older folder at %s was replaced", root)


def _clear_uploads(filesystem: fsspec.AbstractFileSystem, root: str, *, whole_ones: bool = False) -> None:
    """Remove what killed processes left beside an output in a store; whole folders only if asked."""
    parent, _, name = root.rstrip("/").rpartition("/")
    for found in names_in(filesystem, parent):
        folder = join(parent, found)
        if _is_staging_of(name, found) and (
            whole_ones or not exists(filesystem, join(folder, MANIFEST_NAME))
        ):
            _remove(filesystem, folder)


def _put(filesystem: fsspec.AbstractFileSystem, staging: str, root: str, names: Sequence[str]) -> None:
    filesystem.makedirs(root, exist_ok=True)
    for name in names:
        filesystem.put_file(os.path.join(staging, name), join(root, name))


def _replace(filesystem: fsspec.AbstractFileSystem, beside: str, root: str, names: Sequence[str]) -> None:
    """Copies within the store. names: the manifest last.

    The older manifest goes first, so that nobody reads the folder while it holds files of both.
    """
    filesystem.rm_file(join(root, MANIFEST_NAME))
    *others, manifest = names
    for name in others:
        filesystem.cp_file(join(beside, name), join(root, name))
    for path in filesystem.find(root):
        if path.rpartition("/")[2] not in (*others, LEASE_NAME):
            filesystem.rm_file(path)
    filesystem.cp_file(join(beside, manifest), join(root, manifest))


def _remove(filesystem: fsspec.AbstractFileSystem, folder: str) -> None:
    """What can't be removed is left: it is no part of the output."""
    try:
        if filesystem.exists(folder):
            filesystem.rm(folder, recursive=True)
    except OSError as error:
        _log.warning("%s is left over (%s)", folder, type(error).__name__)
