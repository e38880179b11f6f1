"""The files of a checkpoint: find them, bring them here, and name them by their content."""

from __future__ import annotations

import hashlib
import os
import re

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join, sha256_of


def find_prefix(uri: str) -> str:
    """The prefix of a TensorFlow checkpoint, where its index file or its folder is given, too.

    Raises ContractError.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    if filesystem.isfile(f"{root}.index"):
        return uri
    if root.endswith(".index") and filesystem.isfile(root):
        return uri.removesuffix(".index")
    state = join(root, "checkpoint")
    if filesystem.isfile(state):
        # Only the last part of the path: a state file often names the folder where the model was trained.
        text = filesystem.cat_file(state).decode(errors="replace")
        latest = re.search(r'^model_checkpoint_path: "([^"]*)"', text, re.M)
        name = re.split(r"[/\\]", latest[1])[-1] if latest else ""
        if name and filesystem.isfile(join(root, f"{name}.index")):
            return join(uri, name)
    raise ContractError(
        f"{uri} is no checkpoint: there is no {os.path.basename(root)}.index, and in it no {MANIFEST_NAME} "
        "and no `checkpoint` file that names one",
        "a checkpoint is a TensorFlow prefix (model.ckpt-300 of model.ckpt-300.index) or a checkpoint folder",
        "check the path",
    )


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
