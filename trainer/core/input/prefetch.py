"""An iterator that works ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
_POLL_SECONDS = 0.1


class Prefetch(Generic[Item]):
    """Makes the next few items in a background thread. The source's error is raised in the item's place."""

    def __init__(self, source: Iterator[Item], ahead: int = 2) -> None:
        self._source = source
        self._queue: queue.Queue[tuple[str, Item | BaseException | None]] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Prefetch[Item]:
        return self

    def __next__(self) -> Item:
        kind, value = self._queue.get()
        if kind == "item":
            return value  # type: ignore[return-value]
        self._queue.put((kind, value))  # so that a further call says the same
        if kind == "error":
            assert isinstance(value, BaseException)
            raise value
        raise StopIteration

    def close(self) -> None:
        """Stop working ahead and let go of the source."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._source:
                if not self._put("item", item):
                    return
            self._put("end", None)
        except BaseException as error:  # handed on, not handled
            self._put("error", error)
        finally:
            close = getattr(self._source, "close", None)
            if close:
                close()

    def _put(self, kind: str, value: Item | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put((kind, value), timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False
