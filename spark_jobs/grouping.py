"""What one task reads, or looks at, together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def groups_of(items: Iterable[tuple[Item, int]], most_rows: int) -> Iterator[list[Item]]:
    """Items in their order, in groups of at most so many rows, or of one item. items: each with its rows."""
    group: list[Item] = []
    held = 0
    for item, rows in items:
        if group and held + rows > most_rows:
            yield group
            group, held = [], 0
        group.append(item)
        held += rows
    if group:
        yield group
