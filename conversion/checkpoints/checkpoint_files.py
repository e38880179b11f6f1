"""The files of a checkpoint: find them, bring them here, and name them by their content."""

from __future__ import annotations

import hashlib
import os
import re

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.checkpoint import CHECKPOINTS_FOLDER
from schemas.errors import ContractError
from schemas.files import names_in
from schemas.manifest import join, sha256_of
from schemas.small_files import read_small_file

_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_STATE_FILE = "checkpoint"
_RULE = "a checkpoint is a TensorFlow prefix (model.ckpt-300 of model.ckpt-300.index) or a checkpoint folder"


def find_prefix(uri: str) -> str:
    """The prefix of a TensorFlow checkpoint, where one of its files or its folder is given, too.

    Of a folder it is the one that its `checkpoint` file names, or the only one. Raises ContractError.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    if filesystem.isfile(f"{root}.index"):
        return uri
    if filesystem.isdir(root):
        return join(uri, _prefix_in(filesystem, root, uri))
    if os.path.basename(root) == _STATE_FILE and filesystem.isfile(root):
        return find_prefix(uri.rpartition("/")[0] or ".")
    prefix = _ENDING.sub("", root)
    if prefix != root and filesystem.isfile(f"{prefix}.index"):
        return _ENDING.sub("", uri)
    raise ContractError(
        f"{uri} is no checkpoint: there is no {os.path.basename(prefix)}.index", _RULE, "check the path"
    )


def _prefix_in(filesystem: fsspec.AbstractFileSystem, folder: str, uri: str) -> str:
    """The name of a folder's checkpoint."""
    names = names_in(filesystem, folder)
    prefixes = sorted(
        (name.removesuffix(".index") for name in names if name.endswith(".index")), key=_step_and_name
    )
    if _STATE_FILE in names:
        # Only the last part of the path: a state file often names the folder where the model was trained.
        text = read_small_file(join(uri, _STATE_FILE)).decode("utf-8-sig", errors="replace")
        latest = re.search(r'^model_checkpoint_path: "([^"]*)"', text, re.M)
        name = re.split(r"[/\\]", latest[1])[-1] if latest else ""
        if name in prefixes:
            return name
        found = f"its `{_STATE_FILE}` file names none that is there"
    elif len(prefixes) == 1:
        return prefixes[0]
    else:
        found = (
            f"it holds {len(prefixes)} and no `{_STATE_FILE}` file that names one"
            if prefixes
            else "it holds none"
        )
    remedy = "check the path"
    if prefixes:
        remedy = f"give one of them, e.g. {join(uri, prefixes[-1])}"
    elif CHECKPOINTS_FOLDER in names:
        remedy = "of a run folder give --run"
    raise ContractError(f"{uri} is no checkpoint: {found}", _RULE, remedy)


def _step_and_name(prefix: str) -> tuple[int, str]:
    step = re.search(r"-(\d+)$", prefix)
    return (int(step[1]) if step else -1, prefix)


def local_folder(uri: str, scratch: str) -> str:
    """A checkpoint folder's local path; a remote one is copied into the local folder `scratch`."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    if isinstance(filesystem, LocalFileSystem):
        return root
    local = os.path.join(scratch, os.path.basename(root))
    os.makedirs(local)
    for path in filesystem.ls(root, detail=False):
        filesystem.get_file(path, os.path.join(local, os.path.basename(path)))
    return local


def local_prefix(uri: str, scratch: str) -> str:
    """A TensorFlow checkpoint's local prefix; the files of a remote one are copied into `scratch`."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    if isinstance(filesystem, LocalFileSystem):
        return root
    for path in _files_of(filesystem, root):
        filesystem.get_file(path, os.path.join(scratch, os.path.basename(path)))
    return os.path.join(scratch, os.path.basename(root))


def _files_of(filesystem: fsspec.AbstractFileSystem, prefix: str) -> list[str]:
    start = os.path.basename(prefix)
    siblings = filesystem.ls(os.path.dirname(prefix), detail=False)
    return sorted(
        path
        for path in siblings
        if re.fullmatch(re.escape(start) + r"\.(index|data-\d+-of-\d+)", os.path.basename(path))
    )


def fingerprint_of_files(prefix: str) -> str:
    """SHA-256 over the SHA-256 of the checkpoint's files, in the order of their names."""
    filesystem, root = fsspec.core.url_to_fs(prefix)
    digest = hashlib.sha256()
    for path in _files_of(filesystem, root):
        digest.update(sha256_of(filesystem, path).encode())
    return digest.hexdigest()
