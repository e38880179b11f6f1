"""Output folders that readers can trust: no manifest while one is written, the manifest last.

Order of events: `start_output` removes the manifest, then old parts; data go through Spark's commit
protocol into `_writing/`, which readers ignore; finished files are measured and moved to stable names;
`publish` writes the manifest. A job that dies on the way leaves a folder that every reader refuses, and the
next run cleans up.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, ManifestFile, damaged_file, join, no_manifest
from schemas.shards import PARQUET, TFRECORD, part_name
from schemas.table import TableSchema
from spark_jobs.storage import Folder
from spark_jobs.tfrecord import ROWS_FILE, TfRecordDataSource

log = logging.getLogger(__name__)

STAGING = "_writing"
STAGED_DATA = f"{STAGING}/data"  # Spark warns of a folder to read whose own name begins with _
_PART = re.compile(r"(|.*/)part-\d{5,}\.[a-z]+")


@dataclass(frozen=True)
class Published:
    """A finished folder and its checked manifest."""

    uri: str
    manifest: Manifest


def start_output(spark: SparkSession, uri: str, inputs: Iterable[str] = ()) -> Folder:
    """Make a folder unreadable and clear it of what an earlier run left: parts and staging, nothing else.

    Raises ContractError when the output is one of the inputs.
    """
    folder = Folder(spark, uri)
    if any(Folder(spark, other).qualified == folder.qualified for other in inputs):
        raise ContractError(
            f"{uri} is both input and output", "a stage reads and writes apart", "name another"
        )
    folder.delete(MANIFEST_NAME)
    folder.delete(STAGING)
    for entry in folder.files():
        if _PART.fullmatch(entry.path):
            folder.delete(entry.path)
    return folder


def write_parquet(
    rows: DataFrame,
    folder: Folder,
    *,
    subfolder: str = "",
    partition_by: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> list[ManifestFile]:
    """Write rows as `part-00000.parquet` …, one file a partition that has rows, in order of partitions.

    With partition_by, in Hive partitions `column=value/`. names: paths to use instead, one a file. Returns
    the manifest's entries, by path.
    """
    folder.delete(STAGING)
    rows.write.mode("overwrite").partitionBy(*partition_by).parquet(join(folder.uri, STAGED_DATA))
    # Without a row there may be no file, and then no schema to find.
    rows_of = _rows_of_staged(rows.sparkSession, folder) if folder.files(STAGED_DATA) else {}
    return _install_parts(rows.sparkSession, folder, rows_of, PARQUET, subfolder, names)


def write_tfrecord(
    rows: DataFrame, folder: Folder, *, names: Sequence[str] | None = None
) -> list[ManifestFile]:
    """Write rows as `part-00000.tfrecord` …, one file a partition that has rows. names: see write_parquet."""
    folder.delete(STAGING)
    rows.sparkSession.dataSource.register(TfRecordDataSource)
    rows.write.format(TFRECORD).mode("overwrite").save(join(folder.qualified, STAGED_DATA))
    rows_of = json.loads(folder.read_bytes(f"{STAGED_DATA}/{ROWS_FILE}"))
    return _install_parts(rows.sparkSession, folder, rows_of, TFRECORD, "", names)


def _install_parts(
    spark: SparkSession,
    folder: Folder,
    rows_of: dict[str, int],
    extension: str,
    subfolder: str,
    names: Sequence[str] | None,
) -> list[ManifestFile]:
    """Measure the files in `_writing/data` on the executors, and give them their stable names."""
    staged = [entry.path.removeprefix(f"{STAGED_DATA}/") for entry in folder.files(STAGED_DATA)]
    staged = [path for path in staged if path.endswith(f".{extension}")]
    targets = names or _part_names(staged, extension, subfolder)
    sums = _sha256_of_staged(spark, folder) if staged else {}
    entries = []
    for path, target in zip(staged, targets, strict=True):
        folder.rename(f"{STAGED_DATA}/{path}", target)
        size, sha256 = sums[path]
        entries.append(ManifestFile(target, rows_of.get(path, 0), size, sha256))
    folder.delete(STAGING)
    return sorted(entries, key=lambda entry: entry.path)


def _part_names(staged: Sequence[str], extension: str, subfolder: str) -> list[str]:
    """`part-00000` … in each folder, in the order of Spark's own names, which is that of partitions."""
    numbers: dict[str, int] = defaultdict(int)
    names = []
    for path in staged:
        parent = "/".join(part for part in (subfolder, path.rpartition("/")[0]) if part)
        names.append(
            join(parent, part_name(numbers[parent], extension))
            if parent
            else part_name(numbers[parent], extension)
        )
        numbers[parent] += 1
    return names


def write_file(folder: Folder, name: str, content: bytes, rows: int) -> ManifestFile:
    """Write one small file from the driver, e.g. a vocabulary."""
    folder.write_bytes(name, content)
    return ManifestFile(name, rows, len(content), hashlib.sha256(content).hexdigest())


def publish(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest as the folder's last file: to a hidden name first, then moved into place."""
    hidden = f".{MANIFEST_NAME}.tmp"
    folder.write_bytes(hidden, manifest.to_json().encode())
    folder.rename(hidden, MANIFEST_NAME)
    log.info("published %s: %s", folder.uri, {"rows": manifest.num_rows, **manifest.counts})


def read_published(spark: SparkSession, uri: str, kind: str) -> Published:
    """Check a folder's manifest, and that every file is there in its stated size. Raises ContractError."""
    folder = Folder(spark, uri)
    if not folder.exists(MANIFEST_NAME):
        raise no_manifest(uri, kind)
    manifest = Manifest.from_json(folder.read_bytes(MANIFEST_NAME).decode(), kind, uri)
    sizes = {entry.path: entry.bytes for entry in folder.files()}
    for file in manifest.files:
        if file.path not in sizes:
            raise damaged_file(uri, file, "it is missing")
        if sizes[file.path] != file.bytes:
            raise damaged_file(uri, file, f"it has {sizes[file.path]} bytes, not {file.bytes}")
    return Published(uri, manifest)


def read_table(
    spark: SparkSession,
    source: Published,
    schema: TableSchema,
    *,
    subfolder: str = "",
    partition: str = "",
    whole_files: bool = False,
) -> DataFrame:
    """The contract's columns of the Parquet files that the manifest lists (and of no stray file beside them).

    partition: a Hive partition column, which is read too. whole_files: a file's rows come in one partition,
    in their order. Raises ContractError for a missing column.
    """
    wanted = [
        f.path for f in source.manifest.files if f.path.startswith(subfolder) and f.path.endswith(PARQUET)
    ]
    columns = [*schema.column_names, *([partition] if partition else [])]
    if not wanted:
        ddl = schema.ddl + (f", {partition} string" if partition else "")
        return spark.createDataFrame([], ddl)
    if whole_files:
        # Spark cuts a file that is longer than its share of a task; these two settings rule that out.
        longest = max(file.bytes for file in source.manifest.files)
        spark.conf.set("spark.sql.files.minPartitionNum", "1")
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(longest))
    rows = spark.read.option("basePath", source.uri).parquet(*(join(source.uri, path) for path in wanted))
    schema.check_columns(dict(rows.dtypes), join(source.uri, subfolder))
    return rows.select(*columns)


def _sha256_of_staged(spark: SparkSession, folder: Folder) -> dict[str, tuple[int, str]]:
    """Staged path → (bytes, SHA-256)."""
    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .load(join(folder.uri, STAGED_DATA))
    )
    found = files.select(_staged_path("path"), "length", F.sha2("content", 256)).collect()
    return {path: (size, sha256) for path, size, sha256 in found}


def _rows_of_staged(spark: SparkSession, folder: Folder) -> dict[str, int]:
    """Staged path → rows, for the files that have any."""
    rows = spark.read.option("recursiveFileLookup", "true").parquet(join(folder.uri, STAGED_DATA))
    return dict(rows.groupBy(_staged_path("_metadata.file_path")).count().collect())


def _staged_path(column: str):
    return F.substring_index(F.col(column), f"/{STAGED_DATA}/", -1)
