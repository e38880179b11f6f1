"""Small files through fsspec."""

from __future__ import annotations

import json
from typing import Any

import fsspec


def read_json(uri: str) -> dict[str, Any] | None:
    """None when there is no such file."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    try:
        return json.loads(filesystem.cat_file(path))
    except FileNotFoundError:
        return None
