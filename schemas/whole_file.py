"""A small file that readers see whole or not at all, whenever the writer is killed."""

from __future__ import annotations

import fsspec


def write_whole(uri: str, content: bytes) -> None:
    """Write a file, in an older one's place if there is one: to a hidden name first, then moved there."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    folder, _, name = path.rpartition("/")
    hidden = f"{folder}/.{name}.tmp"
    filesystem.pipe_file(hidden, content)
    filesystem.mv(hidden, path)
