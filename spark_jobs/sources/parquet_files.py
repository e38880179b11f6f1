"""Raw Parquet files that Spark's Python workers read themselves, straight into Arrow.

Spark's own reader makes rows of them, which cost several times as much, and a worker needs Arrow in the end.
Only where Spark would read the same: plain files, all of one schema. Whatever else there is, Spark reads.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ContractError
from schemas.parquet import READ_OPTIONS, check_claims
from spark_jobs.files.listed_tables import ListedFile
from spark_jobs.grouping import groups_of
from spark_jobs.sources.columns import plain_name

log = logging.getLogger(__name__)

ROWS_PER_TASK = 500_000
_ROWS_PER_BATCH = 1 << 17
_FOOTERS_AT_ONCE = 16
NANOSECONDS = "timestamp[ns"
INT96 = " of INT96"


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of one file."""

    uri: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class ParquetFiles:
    """Files of one schema.

    schema: of the columns that are wanted, by their plain names. names: these columns' names in the files.
    tasks: what each task reads. listed: those that a manifest lists, by URI: a task reads them whole, and
    compares their SHA-256.
    """

    schema: pa.Schema
    names: tuple[str, ...]
    tasks: tuple[tuple[RowGroups, ...], ...]
    num_rows: int
    listed: Mapping[str, ListedFile]

    def only(self, columns: Iterable[str]) -> ParquetFiles:
        """The same rows, of only these columns, by their plain names."""
        places = [self.schema.get_field_index(name) for name in columns]
        schema = pa.schema([self.schema.field(n) for n in places])
        return replace(self, schema=schema, names=tuple(self.names[n] for n in places))

    def read(self, task: int) -> Iterator[pa.RecordBatch]:
        """The rows of one task, ROWS_PER_TASK at most in a batch."""
        held: list[pa.RecordBatch] = []
        for batch in self._batches(task):
            if held and sum(rows.num_rows for rows in held) + batch.num_rows > ROWS_PER_TASK:
                yield pa.concat_batches(held)
                held = []
            held.append(batch)
        if held:
            yield pa.concat_batches(held)

    def _batches(self, task: int) -> Iterator[pa.RecordBatch]:
        for groups in self.tasks[task]:
            with self._open(groups.uri) as parquet:
                for batch in parquet.iter_batches(
                    _ROWS_PER_BATCH, groups.numbers, list(self.names), use_threads=False
                ):
                    rows = pa.RecordBatch.from_arrays(
                        [batch[name] for name in self.names], names=self.schema.names
                    )
                    yield rows.cast(self.schema)

    @contextmanager
    def _open(self, uri: str) -> Iterator[pq.ParquetFile]:
        if uri in self.listed:
            with self.listed[uri].open() as parquet:
                yield parquet
        else:
            with fsspec.open(uri, "rb") as file:
                yield pq.ParquetFile(file, **READ_OPTIONS)


def open_parquet_files(
    uris: Sequence[str],
    wanted: Iterable[str],
    cores: int,
    listed: Mapping[str, ListedFile] | None = None,
) -> ParquetFiles | None:
    """None, with a word in the log, where only Spark can tell what the files hold.

    wanted: plain names of columns (sources.tables). cores: for which there are to be tasks. listed: see
    ParquetFiles.
    """
    if not uris or any("=" in uri for uri in uris):  # it may be a partition's folder
        return None
    found = read_footers(uris)
    if found is None:
        return None
    footers = [footer for footer in found.values() if footer]
    if len(footers) < len(found):
        log.info("Spark reads the files: some are no Parquet")
        return None
    fields = _fields(footers[0], wanted)
    if fields is None or any(_fields(footer, wanted) != fields for footer in footers):
        log.info("Spark reads the files: they lack a column, or are not of one schema")
        return None
    schema = pa.schema([pa.field(plain, field.type) for plain, field in fields.items()])
    names = tuple(field.name for field in fields.values())
    num_rows = sum(footer.metadata.num_rows for footer in footers)
    rows_per_task = min(ROWS_PER_TASK, math.ceil(num_rows / cores))
    tasks = _tasks(uris, footers, rows_per_task, whole_files=bool(listed))
    return ParquetFiles(schema, names, tuple(tasks), num_rows, listed or {})


@dataclass(frozen=True)
class Footer:
    """What a file says of itself at its end."""

    schema: pa.Schema
    metadata: pq.FileMetaData

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """Plain name → type, kinds of text as one; INT96, which Spark reads, is marked."""
        return {plain_name(name): kind for name, kind in self._kinds()}

    @property
    def signature(self) -> tuple[tuple[str, str], ...]:
        """What files have in common that Spark reads as one."""
        return tuple(sorted((name.lower(), kind) for name, kind in self._kinds()))

    def _kinds(self) -> Iterator[tuple[str, str]]:
        leaves = (self.metadata.schema.column(n) for n in range(self.metadata.num_columns))
        old_times = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}
        for field in self.schema:
            yield field.name, f"{_kind(field.type)}{INT96 if field.name in old_times else ''}"

    @property
    def zones(self) -> Mapping[str, str]:
        """Plain name → time zone, of times that have one."""
        return {
            plain_name(field.name): field.type.tz
            for field in self.schema
            if pa.types.is_timestamp(field.type) and field.type.tz
        }


def _kind(of: pa.DataType) -> str:
    while pa.types.is_dictionary(of):
        of = of.value_type
    is_text = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of)
    return "string" if is_text else str(of)


def read_footers(uris: Sequence[str]) -> dict[str, Footer | None] | None:
    """File → its footer, None for what is no Parquet. All is None where fsspec cannot reach the files.

    Raises ContractError for a footer that claims what no file of that size holds.
    """
    try:
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            return dict(zip(uris, pool.map(_footer, uris), strict=True))
    except ContractError:
        raise
    except (OSError, ImportError, ValueError) as error:
        log.info("Spark reads the files: a worker could not (%s)", type(error).__name__)
        return None


def no_parquet(uris: Sequence[str]) -> ContractError:
    """The error that names files that are not what their folder holds."""
    further = f", nor are {len(uris) - 1} others beside it" if len(uris) > 1 else ""
    return ContractError(
        f"{uris[0]} is not a Parquet file{further}",
        "all files of a table are of its format, but for those whose names begin with `_` or `.`, "
        "which are passed over",
        "move it out of the folder; copy it again where it was cut short",
    )


def _footer(uri: str) -> Footer | None:
    with fsspec.open(uri, "rb") as file:
        try:
            parquet = pq.ParquetFile(file)
        except pa.ArrowInvalid:
            return None
        check_claims(parquet.metadata, file.seek(0, os.SEEK_END), uri)
        return Footer(parquet.schema_arrow, parquet.metadata)


def _fields(footer: Footer, wanted: Iterable[str]) -> Mapping[str, pa.Field] | None:
    """Plain name → the file's field, without its writer's notes; None where one is not there, or twice."""
    found: dict[str, pa.Field] = {}
    for field in footer.schema:
        plain = plain_name(field.name)
        if plain in found:
            return None
        found[plain] = field.with_nullable(True).remove_metadata()
    return {name: found[name] for name in wanted} if set(wanted) <= set(found) else None


def _tasks(
    uris: Sequence[str], footers: Sequence[Footer], rows_per_task: int, whole_files: bool
) -> Iterator[tuple[RowGroups, ...]]:
    if whole_files:
        files = (
            (RowGroups(uri, tuple(range(footer.metadata.num_row_groups))), footer.metadata.num_rows)
            for uri, footer in zip(uris, footers, strict=True)
        )
        yield from map(tuple, groups_of(files, rows_per_task))
        return
    row_groups = (
        ((uri, number), footer.metadata.row_group(number).num_rows)
        for uri, footer in zip(uris, footers, strict=True)
        for number in range(footer.metadata.num_row_groups)
    )
    for task in groups_of(row_groups, rows_per_task):
        by_file = groupby(task, key=itemgetter(0))
        yield tuple(RowGroups(uri, tuple(number for _, number in found)) for uri, found in by_file)
