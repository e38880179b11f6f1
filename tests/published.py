"""Published folders changed for tests: with a manifest that says so, or behind its back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import fsspec

from schemas.manifest import MANIFEST_NAME, Manifest, describe_file, join, publish_manifest, read_manifest


def publish_again(uri: str, kind: str, *paths: str) -> None:
    """State the files at these paths as they are now, rows as before: a fault of the writer, not damage."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    manifest = Manifest.from_json(filesystem.cat_file(join(root, MANIFEST_NAME)), kind, uri)
    files = tuple(
        describe_file(uri, file.path, file.rows) if file.path in paths else file for file in manifest.files
    )
    publish_manifest(uri, replace(manifest, files=files))
    read_manifest(uri, kind, verify=True)


def with_fingerprint(plain: dict[str, Any]) -> str:
    """A manifest's JSON, whatever it holds, with the fingerprint that is right for it."""
    content = {name: value for name, value in plain.items() if name != "fingerprint"}
    made = Manifest("", details={})
    object.__setattr__(made, "_plain", lambda: content)
    return json.dumps(content | {"fingerprint": made.fingerprint})


def rewrite_manifest(uri: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest's JSON in place, and state the right fingerprint of what came of it."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    path = join(root, MANIFEST_NAME)
    plain = json.loads(filesystem.cat_file(path))
    change(plain)
    filesystem.pipe_file(path, with_fingerprint(plain).encode())
