"""Small files through fsspec."""

from __future__ import annotations

from typing import Any

from schemas import files
from schemas.errors import ContractError, NotThere

_RULE = "it is the JSON object that a stage of this release wrote"
_REMEDY = "copy the folder again whole, or run the stage that makes it"


def read_json(uri: str) -> dict[str, Any] | None:
    """None when there is no such file. Raises ContractError for what is no JSON object."""
    try:
        plain = files.read_json(uri, _RULE, _REMEDY)
    except NotThere:
        return None
    if not isinstance(plain, dict):
        raise ContractError(f"{uri} is no JSON object", _RULE, _REMEDY)
    return plain
