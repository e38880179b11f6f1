"""Small files through fsspec."""

from __future__ import annotations

import json
from typing import Any

from schemas.errors import ContractError
from schemas.small_files import read_small_file


def read_json(uri: str) -> dict[str, Any] | None:
    """None when there is no such file. Raises ContractError for what is no JSON."""
    try:
        return json.loads(read_small_file(uri))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{uri} cannot be read ({type(error).__name__})",
            "it is the JSON object that a stage of this release wrote",
            "copy the folder again whole, or run the stage that makes it",
        ) from error
