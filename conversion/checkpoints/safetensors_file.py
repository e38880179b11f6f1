"""Weights in safetensors files, as NumPy arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from schemas.errors import ContractError
from schemas.small_files import check_size

_MOST_HEADER_BYTES = 100_000_000
"""As the library's own limit."""


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """The arrays of a local safetensors file, by name. Raises ContractError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError, FileNotFoundError) as error:  # KeyError: a type that NumPy has not
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> ContractError:
    return ContractError(
        f"{path} cannot be read ({type(error).__name__})",
        "weights are a safetensors file in float32",
        "copy the folder again whole",
    )


def read_header(path: str) -> tuple[dict[str, Any], int]:
    """A local file's header, array name → dtype, shape and place, and where the arrays' bytes begin.

    Raises ContractError for a header that is longer than the file, or no JSON object.
    """
    with open(path, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        try:
            check_size(size, f"the header of {path}", min(os.path.getsize(path), _MOST_HEADER_BYTES))
            header = json.loads(stream.read(size))
        except (ValueError, RecursionError) as error:
            if isinstance(error, ContractError):
                raise
            raise _damaged(path, error) from error
    if not isinstance(header, dict):
        raise _damaged(path, TypeError())
    return header, 8 + size


def write_safetensors(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a local file, for transformers to load."""
    # The library's own save_file gives the file to its owner alone, which no umask asked for.
    with open(path, "wb") as stream:
        stream.write(safetensors_bytes(arrays))


def safetensors_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """What write_safetensors writes."""
    from safetensors.numpy import save

    return save(dict(arrays), metadata={"format": "pt"})
