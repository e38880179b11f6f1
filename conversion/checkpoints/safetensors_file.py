"""Weights in safetensors files, as NumPy arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from schemas.errors import ContractError


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """The arrays of a local safetensors file, by name. Raises ContractError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError, FileNotFoundError) as error:  # KeyError: a type that NumPy has not
        raise ContractError(
            f"{path} cannot be read ({type(error).__name__})",
            "weights are a safetensors file in float32",
            "copy the folder again whole",
        ) from error


def read_header(path: str) -> tuple[dict[str, Any], int]:
    """A local file's header, array name → dtype, shape and place, and where the arrays' bytes begin."""
    with open(path, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        return json.loads(stream.read(size)), 8 + size


def write_safetensors(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a local file, for transformers to load."""
    # The library's own save_file gives the file to its owner alone, which no umask asked for.
    with open(path, "wb") as stream:
        stream.write(safetensors_bytes(arrays))


def safetensors_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """What write_safetensors writes."""
    from safetensors.numpy import save

    return save(dict(arrays), metadata={"format": "pt"})
