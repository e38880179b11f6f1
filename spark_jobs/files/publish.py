"""Output folders that readers can trust: no manifest while one is written, the manifest last.

Order of events: `start_output` hides the manifest, then removes its files (clearing); data go through Spark's
commit protocol (part_files) into `_writing/`, which readers ignore; finished files are moved to stable names;
`publish` writes the manifest. A job that dies on the way leaves a folder that every reader refuses, and the
next run cleans up.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from schemas.access import make_private, settle_access
from schemas.manifest import (
    MANIFEST_NAME,
    Manifest,
    ManifestFile,
    check_content,
    check_inside,
    damaged_file,
    join,
    listed_file,
    no_manifest,
)
from schemas.shards import PARQUET
from schemas.small_cells import in_words
from schemas.table import TableSchema
from spark_jobs.files.clearing import STAGING, UNFINISHED, check_apart, clear
from spark_jobs.files.part_files import Output, Part, PassOn, Task, write_part_files
from spark_jobs.files.storage import Folder

log = logging.getLogger(__name__)

STAGED_DATA = f"{STAGING}/data"


@dataclass(frozen=True)
class Published:
    """A finished folder and its checked manifest."""

    uri: str
    manifest: Manifest


def start_output(
    spark: SparkSession, uri: str, inputs: Iterable[str] = (), subfolders: Iterable[str] = ()
) -> Folder:
    """Make a folder unreadable, and clear it of what stages wrote there before.

    subfolders: in which the stage writes parts. Raises ContractError, and changes nothing, when the output
    and an input are the same folder or one lies in the other, and for part files that no stage wrote.
    """
    check_apart(spark, uri, inputs)
    folder = Folder(spark, uri)
    clear(folder, subfolders)
    return folder


def start_private(
    spark: SparkSession,
    uri: str,
    shared_group: str | None,
    inputs: Iterable[str] = (),
    subfolders: Iterable[str] = (),
) -> Folder:
    """As `start_output`, for patient data: a local folder is then its owner's alone, or the group's, too."""
    folder = start_output(spark, uri, inputs, subfolders)
    make_private(folder.qualified, shared_group)
    return folder


@dataclass(frozen=True)
class Target:
    """Where one output of a job goes.

    schema: the contract of Parquet files; None: the columns as they come. names: paths below the folder, one
    a partition, which all have rows; without them files are `part-0000k` in each folder below subfolder, k
    being the partition.
    """

    folder: Folder
    format: str = PARQUET
    schema: TableSchema | None = None
    subfolder: str = ""
    names: Sequence[str] | None = None

    @property
    def output(self) -> Output:
        schema = self.schema.arrow if self.schema else None
        return Output(join(self.folder.qualified, STAGED_DATA), self.format, schema)


@dataclass(frozen=True)
class Written:
    """files: name of each target → the manifest's entries, by path. counts: what the tasks counted."""

    files: Mapping[str, list[ManifestFile]]
    counts: Mapping[str, int]


def write_parts(rows: DataFrame, targets: Mapping[str, Target], task: Task) -> Written:
    """Run a job whose tasks write the targets' part files, and give these their stable names."""
    for target in targets.values():
        target.folder.delete(STAGING)
    report = write_part_files(rows, {name: target.output for name, target in targets.items()}, task)
    files = {
        name: _install(target, [part for part in report.parts if part.output == name])
        for name, target in targets.items()
    }
    for target in targets.values():
        target.folder.delete(STAGING)
    return Written(files, report.counts)


def write_parquet(
    rows: DataFrame,
    folder: Folder,
    *,
    schema: TableSchema | None = None,
    subfolder: str = "",
    partition_by: str | None = None,
    check: Callable[[pa.RecordBatch, str], None] | None = None,
) -> list[ManifestFile]:
    """Write rows as `part-0000k.parquet`, one file for each partition k that has rows.

    With partition_by, in Hive folders `column=value/`. schema, check: the contract's, if there is one
    (schemas.rules). Returns the manifest's entries, by path.
    """
    target = Target(folder, schema=schema, subfolder=subfolder)
    return write_parts(rows, {PARQUET: target}, PassOn((PARQUET,), partition_by, check, folder.uri)).files[
        PARQUET
    ]


def _install(target: Target, parts: Sequence[Part]) -> list[ManifestFile]:
    """Move staged files to their stable names. On an object store that copies them."""
    below = f"{target.subfolder.rstrip('/')}/" if target.subfolder else ""
    paths = target.names or [below + part.path for part in parts]
    entries = []
    for part, path in zip(parts, paths, strict=True):
        target.folder.rename(f"{STAGED_DATA}/{part.path}", path)
        entries.append(ManifestFile(path, part.rows, part.bytes, part.sha256))
    return sorted(entries, key=lambda entry: entry.path)


def write_file(folder: Folder, name: str, content: bytes, rows: int) -> ManifestFile:
    """Write one small file from the driver, e.g. a vocabulary."""
    folder.write_bytes(name, content)
    return ManifestFile(name, rows, len(content), hashlib.sha256(content).hexdigest())


def publish(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest as the folder's last file: over what marks it unfinished, then moved into place.

    What is in a private folder gets the folder's own mode.
    """
    folder.write_bytes(UNFINISHED, manifest.to_json().encode())
    folder.rename(UNFINISHED, MANIFEST_NAME)
    settle_access(folder.qualified)
    rows = f"{in_words(manifest.num_rows)} rows in {len(manifest.files)} files"
    log.info("published %s: %s", folder.uri, "; ".join([rows, *_counts_in_words(manifest.counts)]))


def _counts_in_words(counts: Mapping[str, object]) -> Iterator[str]:
    """Those that are not 0, and one level of those below a name; as they are, they are in the manifest."""
    for name, found in counts.items():
        if isinstance(found, int) and found:
            yield f"{name}: {in_words(found)}"
        elif isinstance(found, Mapping):
            below = {key: number for key, number in found.items() if isinstance(number, int) and number}
            if below:
                yield f"{name}: {', '.join(f'{key} {in_words(number)}' for key, number in below.items())}"


def read_published(spark: SparkSession, uri: str, kind: str) -> Published:
    """Check a folder's manifest, and that every file is there in its stated size. Raises ContractError.

    Whoever opens a file compares its SHA-256 then: `read_file` here, ListedFile in a task.
    """
    folder = Folder(spark, uri)
    if not folder.exists(MANIFEST_NAME):
        raise no_manifest(uri, kind)
    manifest = Manifest.from_json(folder.read_bytes(MANIFEST_NAME), kind, uri)
    sizes = {entry.path: entry.bytes for entry in folder.files()}
    for file in manifest.files:
        if folder.is_local:
            check_inside(folder.qualified, file, uri)
        if file.path not in sizes:
            raise damaged_file(uri, file, "it is missing")
        if sizes[file.path] != file.bytes:
            raise damaged_file(uri, file, f"it has {sizes[file.path]} bytes, not {file.bytes}")
    return Published(uri, manifest)


def read_file(spark: SparkSession, source: Published, path: str) -> bytes:
    """A small file that such a folder always has, its SHA-256 compared. Raises ContractError."""
    file = listed_file(source.uri, source.manifest, path)
    content = Folder(spark, source.uri).read_bytes(path)
    check_content(source.uri, file, content)
    return content
