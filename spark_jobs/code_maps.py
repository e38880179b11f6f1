"""Code maps as tables to join with: a GEM, or any table of two columns."""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import SparkSession

from schemas.code_maps import Entry, parse_gem, resolve
from schemas.codes import SEPARATOR, normalise_code
from schemas.errors import ContractError
from schemas.small_files import gunzipped
from spark_jobs.files.literal_paths import literal
from spark_jobs.files.storage import Folder
from spark_jobs.transforms.code_maps import CODE, OUTCOME, TARGETS

FROM, TO = "from", "to"


@dataclass(frozen=True)
class CodeMap:
    """A map, resolved. table: (code, targets list<string>, outcome), a row a code. systems: of its codes.

    fingerprint: SHA-256 of its entries.
    """

    table: pa.Table
    systems: tuple[str, ...]
    fingerprint: str


def read_gem(spark: SparkSession, uri: str, from_system: str, to_system: str, policy: str) -> CodeMap:
    """A GEM file as CMS ships it. Raises ContractError."""
    content = _require_file(spark, uri, "map").read_bytes("")
    return _code_map(parse_gem(content, from_system, to_system, uri), policy)


def read_two_columns(
    spark: SparkSession, uri: str, from_system: str, to_system: str | None, policy: str
) -> CodeMap:
    """A table with the columns `from` and `to`: CSV with a header, plain or gzipped, or Parquet.

    A code is `SYSTEM//CODE`, or a code of from_system or to_system (by any of their names). Several targets
    of a code are in order of code, and a cluster is all of them. Raises ContractError.
    """
    folder = _require_file(spark, uri, "roll_up")
    is_parquet = folder.is_folder() or uri.lower().endswith(".parquet")
    rows = _read_parquet(spark, uri) if is_parquet else _read_csv(folder)
    targets: dict[str, set[str]] = defaultdict(set)
    for number, (source, target) in enumerate(rows, 1):
        where = f"{uri}, row {number}"
        targets[_code(source, from_system, FROM, where)].add(_code(target, to_system, TO, where))
    entries = {
        code: [Entry(target, scenario=1, choice_list=n) for n, target in enumerate(sorted(found), 1)]
        for code, found in targets.items()
    }
    if not entries:
        raise ContractError(f"{uri} is empty", "a map has at least one pair of codes", "check --roll_up")
    return _code_map(entries, policy)


def _read_parquet(spark: SparkSession, uri: str) -> list[tuple[str | None, str | None]]:
    rows = spark.read.parquet(literal(uri))
    _require_columns(rows.columns, uri)
    found = rows.select(FROM, TO).toArrow()
    sources, targets = (found[name].cast(pa.string()).to_pylist() for name in (FROM, TO))
    return list(zip(sources, targets, strict=True))


def _read_csv(file: Folder) -> list[tuple[str | None, str | None]]:
    try:
        content = gunzipped(file.read_bytes(""), file.uri).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(content, newline=""), strict=True)
        _require_columns(rows.fieldnames or (), file.uri)
        return [(row[FROM], row[TO]) for row in rows]
    except (EOFError, zlib.error, UnicodeError, csv.Error) as error:
        raise ContractError(
            f"{file.uri} cannot be read as CSV ({type(error).__name__})",
            "a map is CSV in UTF-8, gzipped or not, or Parquet",
            "check --roll_up",
        ) from error


def _require_columns(found: Iterable[str], uri: str) -> None:
    if not {FROM, TO} <= set(found):
        raise ContractError(
            f"{uri} has the columns {', '.join(found) or 'none'}",
            f"a map has the columns {FROM} and {TO}",
            "name them so in its first line",
        )


def _code(text: str | None, system: str | None, column: str, where: str) -> str:
    named, separator, code = (text or "").strip().partition(SEPARATOR)
    if separator:
        system, text = named, code
    if not system:
        raise ContractError(
            f"{where}: {text!r} in column `{column}` names no code system",
            "a code is SYSTEM//CODE, or its column's system is given",
            f"give --roll_up_{column}, e.g. CCS",
        )
    try:
        return normalise_code(system, text or "")
    except ValueError as error:
        raise ContractError(
            f"{where}: {text!r} in column `{column}`: {error}",
            "each row has two codes that have the form of their system",
            f"mend or remove the row, or give another --roll_up_{column}",
        ) from error


def _require_file(spark: SparkSession, uri: str, option: str) -> Folder:
    folder = Folder(spark, uri)
    if not folder.exists():
        raise ContractError(f"{uri} does not exist", "a map is a file", f"check --{option}")
    return folder


def _code_map(entries: Mapping[str, Sequence[Entry]], policy: str) -> CodeMap:
    codes = sorted(entries)
    resolved = [resolve(code, entries[code], policy) for code in codes]
    table = pa.table(
        {
            CODE: pa.array(codes, pa.string()),
            TARGETS: pa.array([list(mapped.targets) for mapped in resolved], pa.list_(pa.string())),
            OUTCOME: pa.array([mapped.outcome for mapped in resolved], pa.string()),
        }
    )
    digest = hashlib.sha256()
    for code in codes:
        digest.update(f"{code} {entries[code]!r}\n".encode())
    systems = sorted({code.partition(SEPARATOR)[0] for code in codes})
    return CodeMap(table, tuple(systems), digest.hexdigest())
