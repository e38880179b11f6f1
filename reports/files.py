"""Small files through fsspec."""

from __future__ import annotations

import json
from typing import Any

import fsspec

from schemas.errors import ContractError


def read_json(uri: str) -> dict[str, Any] | None:
    """None when there is no such file. Raises ContractError for what is no JSON."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    try:
        return json.loads(filesystem.cat_file(path))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{uri} cannot be read ({type(error).__name__})",
            "it is the JSON object that a stage of this release wrote",
            "copy the folder again whole, or run the stage that makes it",
        ) from error
