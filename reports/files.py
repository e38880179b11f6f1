"""Small files through fsspec."""

from __future__ import annotations

import json
from typing import Any

import fsspec


def read_text(uri: str) -> str | None:
    """None when there is no such file."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    try:
        return filesystem.cat_file(path).decode()
    except FileNotFoundError:
        return None


def read_json(uri: str) -> dict[str, Any] | None:
    text = read_text(uri)
    return None if text is None else json.loads(text)
