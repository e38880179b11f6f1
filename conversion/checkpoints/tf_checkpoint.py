"""Read and write TensorFlow checkpoints, of TF1 or TF2, with TensorFlow itself, in a child process.

Child and converter exchange a safetensors file, so the converting process holds no framework, and a damaged
checkpoint that aborts TensorFlow does not abort the conversion. The child is
`python -m conversion.checkpoints.tf_checkpoint read|read-averages|write PREFIX FOLDER`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from glob import escape, glob
from os.path import getsize
from typing import Any

import numpy as np

from command_line.outermost import OK, Told, run_program
from conversion.checkpoints.variable_names import plain_names
from conversion.errors import ProcessFailed
from conversion.proof.processes import run_module
from schemas.bert_names import MOVING_AVERAGES, slot_of, training_state
from schemas.checkpoint import under_plain_name
from schemas.errors import ContractError

_ARRAYS = "variables.safetensors"
_LISTING = "listing.json"
_CHILD = "conversion.checkpoints.tf_checkpoint"


@dataclass(frozen=True)
class TensorFlowCheckpoint:
    """variables: BERT's name → array, half precision widened to float32; ignored: name → reason, not read.

    num_renamed: variables that are stored under another name (a scope before it, `:0` behind it).
    """

    variables: dict[str, np.ndarray]
    ignored: dict[str, str]
    num_renamed: int = 0


def read_tensorflow_checkpoint(prefix: str, *, use_ema: bool = False) -> TensorFlowCheckpoint:
    """Read the checkpoint whose files start with `prefix` (local), e.g. `run/model.ckpt-300`.

    use_ema: of each variable its moving average is read in its place. Raises ContractError when TensorFlow
    finds it damaged, and where a variable has no average.
    """
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory(prefix="tf-checkpoint-") as folder:
        try:
            command = "read-averages" if use_ema else "read"
            with under_plain_name(prefix) as plain:
                run_module(_CHILD, [command, plain, folder], "reading the TensorFlow checkpoint")
        except ProcessFailed as error:
            raise _damaged(prefix, str(error)) from error
        with open(f"{folder}/{_LISTING}", encoding="utf-8") as stream:
            listing = json.load(stream)
        if "damaged" in listing:
            raise _damaged(prefix, listing["damaged"])
        if use_ema and listing["not_averaged"]:
            raise _without_averages(prefix, listing["not_averaged"])
        variables = load_file(f"{folder}/{_ARRAYS}")
        return TensorFlowCheckpoint(variables, listing["ignored"], listing["num_renamed"])


def write_tensorflow_checkpoint(prefix: str, variables: Mapping[str, np.ndarray]) -> None:
    """Write a name-based checkpoint (local): `<prefix>.index` and `<prefix>.data-…`. Raises ProcessFailed."""
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory(prefix="tf-checkpoint-") as folder:
        save_file(dict(variables), f"{folder}/{_ARRAYS}")
        run_module(_CHILD, ["write", prefix, folder], "writing the TensorFlow checkpoint")


def _damaged(prefix: str, what: str) -> ContractError:
    return ContractError(
        f"the checkpoint {prefix} cannot be read: {what}",
        "a checkpoint is its .index and all its .data files, as TensorFlow wrote them",
        "copy the checkpoint again whole",
    )


def _without_averages(prefix: str, variables: list[str]) -> ContractError:
    return ContractError(
        f"{prefix} has no moving average of {len(variables)} variable(s), {variables[0]} among them",
        "with --use_ema every variable is taken from its moving average "
        f"(<variable>/{' or <variable>/'.join(MOVING_AVERAGES)})",
        "leave out --use_ema",
    )


def _tensorflow() -> Any:
    """Without Keras, half of its start: asked for an older Keras that is not there, it loads none."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow

    return tensorflow


def _read_in_child(prefix: str, folder: str, use_ema: bool = False) -> None:
    """The child's part: TensorFlow in, safetensors out."""
    from safetensors.numpy import save_file

    tf = _tensorflow()
    listing: dict[str, object]
    try:
        reader = tf.train.load_checkpoint(prefix)
        dtypes = reader.get_variable_to_dtype_map()
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
        stored = {plain: name for name, plain in plain_names(shapes).items()}
        plain_shapes = {plain: shapes[name] for plain, name in stored.items()}
        ignored = training_state(plain_shapes)
        # BERT's name → the name of what is read for it.
        wanted = {plain: name for plain, name in stored.items() if plain not in ignored}
        listing = {"num_renamed": sum(plain != name for plain, name in wanted.items())}
        if use_ema:
            averages = _averages(plain_shapes)
            listing["not_averaged"] = sorted(wanted.keys() - averages.keys())
            ignored |= dict.fromkeys(wanted, "not averaged")
            wanted = {variable: stored[average] for variable, average in averages.items()}
            for average in averages.values():
                del ignored[average]
        listing["ignored"] = {stored[plain]: why for plain, why in ignored.items()}
        _check_room(prefix, sum(_num_bytes(shapes[name], dtypes[name]) for name in wanted.values()))
        arrays = {plain: _plain(reader.get_tensor(name)) for plain, name in sorted(wanted.items())}
    except (tf.errors.OpError, RuntimeError, ValueError, TypeError, LookupError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        listing, arrays = {"damaged": f"{type(error).__name__}: {first_line[:300]}"}, {}
    save_file(arrays, f"{folder}/{_ARRAYS}")
    with open(f"{folder}/{_LISTING}", "w", encoding="utf-8") as stream:
        json.dump(listing, stream)


def _averages(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Variable → the name of its moving average. Raises ValueError where one has several."""
    averages: dict[str, str] = {}
    for name in shapes:
        variable, slot = slot_of(name, shapes) or ("", "")
        if slot in MOVING_AVERAGES:
            if variable in averages:
                raise ValueError(f"it has two moving averages of {variable}: {averages[variable]} and {name}")
            averages[variable] = name
    return averages


def _write_in_child(prefix: str, folder: str) -> None:
    """The child's part: safetensors in, TensorFlow out."""
    from safetensors.numpy import load_file

    tf = _tensorflow()
    variables = load_file(f"{folder}/{_ARRAYS}")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=list(variables.values()),
    )


def _num_bytes(shape: tuple[int, ...], dtype: object) -> int:
    return math.prod(shape) * getattr(dtype, "size", 0)  # strings and the like have none


def _check_room(prefix: str, needed: int) -> None:
    """A damaged index may claim any shape: refuse one that its data files cannot hold, unread."""
    present = sum(getsize(path) for path in glob(f"{escape(prefix)}.data-*"))
    if needed > present:
        raise ValueError(f"the index lists {needed} bytes of variables, but the data files have {present}")


def _plain(value: object) -> np.ndarray:
    """An array that safetensors and NumPy know: bfloat16 and float16 become float32, text becomes bytes."""
    array = np.asarray(value)
    if array.dtype.name in ("bfloat16", "float16"):
        return array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        return np.frombuffer(b"", np.uint8)
    return np.ascontiguousarray(array)


if __name__ == "__main__":
    _COMMANDS = {
        "read": _read_in_child,
        "read-averages": partial(_read_in_child, use_ema=True),
        "write": _write_in_child,
    }

    def _work(told: Told) -> int:
        _COMMANDS[sys.argv[1]](*sys.argv[2:])
        return OK

    sys.exit(run_program(_work))
