"""What one task reads, or looks at, together; and the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

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


def task_numbers(spark: SparkSession, count: int) -> DataFrame:
    """(id), from 0: so many tasks, each with its number."""
    return spark.range(0, count, 1, max(1, count))


def numbers_in(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    """In a task: its numbers."""
    return (number for batch in batches for number in batch[0].to_pylist())
