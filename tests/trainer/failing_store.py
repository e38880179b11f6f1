"""A store whose driver has fsspec's own `exists` and `isdir`, as many have, and which can be told to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class FailingStore(MemoryFileSystem):
    """failing://, in this process's memory. fails: path → whether a question about it goes unanswered."""

    protocol = "failing"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fails: ClassVar[Callable[[str], bool]] = staticmethod(lambda path: False)

    exists = fsspec.AbstractFileSystem.exists
    isdir = fsspec.AbstractFileSystem.isdir

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        self._answer(path)
        return super().info(path, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        self._answer(path)
        return super().ls(path, detail, **options)

    def cat_file(self, path: str, *bounds: Any, **options: Any) -> bytes:
        self._answer(path)
        return super().cat_file(path, *bounds, **options)

    def _answer(self, path: str) -> None:
        if FailingStore.fails(path):
            raise OSError("connection reset")


fsspec.register_implementation("failing", FailingStore, clobber=True)
