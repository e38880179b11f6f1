"""Write a folder so that it is there whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, join

_log = logging.getLogger(__name__)


@contextmanager
def staged_folder(output: str, kind: str) -> Iterator[str]:
    """A local folder to fill; it becomes `output` when the block ends well, and else is removed.

    A finished folder of the same kind at `output` is replaced, once the new one is whole. The block writes
    the manifest last. Raises ContractError when something else stands at `output`.
    """
    filesystem, root = fsspec.core.url_to_fs(output)
    _check_replaceable(filesystem, root, output, kind)
    staging = _new_staging(root, isinstance(filesystem, LocalFileSystem))
    try:
        yield staging
        if isinstance(filesystem, LocalFileSystem):
            _move_into_place(staging, root)
        else:
            _upload(filesystem, staging, root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_replaceable(filesystem: fsspec.AbstractFileSystem, root: str, output: str, kind: str) -> None:
    if filesystem.isdir(root):
        if not filesystem.ls(root, detail=False):
            return
        marker = join(root, MANIFEST_NAME)
        if filesystem.exists(marker):
            Manifest.from_json(filesystem.cat_file(marker), kind, output)  # raises for another kind
            return
    elif not filesystem.exists(root):
        return
    raise ContractError(
        f"{output} holds something that is no {kind} folder",
        f"a {kind} folder is written where nothing stands, or over an older {kind} folder",
        "give another output folder, or move away what is there",
    )


def _new_staging(root: str, local: bool) -> str:
    """Beside a local output, so that moving it is a rename; else in the temporary folder."""
    if not local:
        return tempfile.mkdtemp(prefix="model-")
    parent, name = os.path.split(root.rstrip("/"))
    staging = os.path.join(parent, f".{name}.{uuid.uuid4().hex[:8]}.staging")
    os.makedirs(staging)
    return staging


def _move_into_place(staging: str, root: str) -> None:
    if not os.path.isdir(root):
        os.rename(staging, root)
        return
    older = f"{staging}.older"
    os.rename(root, older)
    try:
        os.rename(staging, root)
    except OSError:
        os.rename(older, root)
        raise
    shutil.rmtree(older)
    _log.info("the older folder at %s was replaced", root)


def _upload(filesystem: fsspec.AbstractFileSystem, staging: str, root: str) -> None:
    """To a store without renames of folders: the manifest, which marks the folder as whole, goes last.

    Over an older folder, everything is uploaded beside it first: an upload that fails leaves it as it was.
    """
    names = sorted(os.listdir(staging), key=lambda name: (name == MANIFEST_NAME, name))
    if not filesystem.exists(join(root, MANIFEST_NAME)):
        _put(filesystem, staging, root, names)
        return
    parent, _, name = root.rstrip("/").rpartition("/")
    beside = join(parent, f".{name}.{uuid.uuid4().hex[:8]}.staging")
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
    _remove(filesystem, beside)
    _log.info("the older folder at %s was replaced", root)


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
        if path.rpartition("/")[2] not in others:
            filesystem.rm_file(path)
    filesystem.cp_file(join(beside, manifest), join(root, manifest))


def _remove(filesystem: fsspec.AbstractFileSystem, folder: str) -> None:
    """What can't be removed is left: it is no part of the output."""
    try:
        if filesystem.exists(folder):
            filesystem.rm(folder, recursive=True)
    except OSError as error:
        _log.warning("%s is left over (%s)", folder, type(error).__name__)
