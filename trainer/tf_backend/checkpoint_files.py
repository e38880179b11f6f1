"""Name-based TensorFlow checkpoints, TF1's and ours alike, below a folder or URI."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import fsspec
import numpy as np
import tensorflow as tf
from fsspec.implementations.local import LocalFileSystem

from schemas.bert_names import check_shapes, training_state
from schemas.checkpoint import TENSORFLOW, open_checkpoint, tensorflow_prefix, under_plain_name
from schemas.errors import ContractError
from schemas.files import exists, names_in
from schemas.manifest import join
from schemas.model import TOKENIZER_FILE
from schemas.scratch import temporary_folder

_INDEX = ".index"


def write(folder: str, step: int, arrays: Mapping[str, tf.Tensor | tf.Variable]) -> list[str]:
    """Write one checkpoint; the names of its files. Raises OSError."""
    prefix = tensorflow_prefix(step)
    filesystem, root = fsspec.core.url_to_fs(folder)
    filesystem.makedirs(root, exist_ok=True)
    with temporary_folder() as scratch:
        local = root if isinstance(filesystem, LocalFileSystem) else scratch
        try:
            tf.raw_ops.SaveV2(
                prefix=join(local, prefix),
                tensor_names=list(arrays),
                shape_and_slices=[""] * len(arrays),
                tensors=[tf.convert_to_tensor(array) for array in arrays.values()],
            )
        except tf.errors.OpError as error:  # how TensorFlow says that a disk is full
            raise _os_error(error.message) from error
        files = sorted(name for name in os.listdir(local) if name.startswith(f"{prefix}."))
        if local == scratch:
            for name in files:
                filesystem.put_file(join(scratch, name), join(root, name))
    return files


def _os_error(message: str) -> OSError:
    """TensorFlow's message as Python's error, with the number that it keeps only the text of."""
    for number in errno.errorcode:
        if f"; {os.strerror(number)}" in message:
            return OSError(number, message)
    return OSError(message)


def read_all(folder: str, step: int, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read a checkpoint that holds exactly these variables (name → shape). Raises ContractError."""
    return _read(join(folder, tensorflow_prefix(step)), shapes, ignore_training_state=False)


def read_weights(source: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read the model's variables, whatever optimiser slots lie beside them. Raises ContractError.

    source: a checkpoint's prefix (`…/model.ckpt-300`), or a checkpoint folder of this backend.
    """
    filesystem, path = fsspec.core.url_to_fs(source)
    if filesystem.isdir(path):
        if exists(filesystem, join(path, TOKENIZER_FILE)):
            raise ContractError(
                f"{source} is a model folder of transformers",
                "the TensorFlow backend starts from a TensorFlow checkpoint",
                "write one of it first (python -m conversion to-tensorflow), or use backend torch",
            )
        checkpoint = open_checkpoint(source)
        if checkpoint.backend != TENSORFLOW:
            raise ContractError(
                f"{source} is a checkpoint of the {checkpoint.backend} backend",
                "the TensorFlow backend starts from a TensorFlow checkpoint",
                f"use backend {checkpoint.backend}",
            )
        source = join(source, tensorflow_prefix(checkpoint.step))
    return _read(source, shapes, ignore_training_state=True)


def _read(
    prefix: str, shapes: Mapping[str, tuple[int, ...]], *, ignore_training_state: bool
) -> dict[str, np.ndarray]:
    with _local(prefix) as found_at, under_plain_name(found_at) as local:
        try:
            reader = tf.train.load_checkpoint(local)
            found = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
            for name in training_state(found) if ignore_training_state else ():
                del found[name]
            check_shapes(shapes, found, prefix)
            return {name: reader.get_tensor(name) for name in shapes}
        except ContractError:
            raise
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise ContractError(
                f"{prefix} cannot be read ({type(error).__name__})",
                "a checkpoint is its whole .index and .data files",
                "copy it again whole, or take another checkpoint",
            ) from error


@contextmanager
def _local(prefix: str) -> Iterator[str]:
    """The prefix of a checkpoint's files on this machine. Raises ContractError."""
    filesystem, root = fsspec.core.url_to_fs(prefix)
    if not exists(filesystem, root + _INDEX):
        raise ContractError(
            f"{prefix}{_INDEX} does not exist",
            "a TensorFlow checkpoint is given by the common start of its files' names, e.g. model.ckpt-300",
            "check the path",
        )
    if isinstance(filesystem, LocalFileSystem):
        yield root
        return
    with temporary_folder() as scratch:
        folder, _, start = root.rpartition("/")
        for name in names_in(filesystem, folder):
            if name.startswith(f"{start}."):
                filesystem.get_file(join(folder, name), join(scratch, name))
        yield join(scratch, start)
