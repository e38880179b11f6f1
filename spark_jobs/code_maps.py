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
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from schemas.code_maps import Entry, parse_gem, resolve
from schemas.codes import SEPARATOR, normalise_code
from schemas.errors import ContractError
from schemas.files import decode_text
from schemas.small_files import gunzipped
from spark_jobs.files.literal_paths import literal
from spark_jobs.files.storage import Folder
from spark_jobs.transforms.code_maps import CODE, OUTCOME, TARGETS

FROM, TO = "from", "to"
_TABLE_RULE = "a map is CSV in UTF-8, gzipped or not, or Parquet"


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
    content = _read_file(_require_file(spark, uri, "map"), "map")
    return resolved(parse_gem(content, from_system, to_system, uri), policy)


def read_two_columns(
    spark: SparkSession, uri: str, from_system: str, to_system: str | None, policy: str
) -> CodeMap:
    """A table with the columns `from` and `to`: CSV with a header, plain or gzipped, or Parquet.

    A code is `SYSTEM//CODE`, or a code of from_system or to_system (by any of their names). Several targets
    of a code are in order of code, and a cluster is all of them. Raises ContractError.
    """
    folder = _require_file(spark, uri, "roll_up")
    is_parquet = folder.is_folder() or uri.lower().endswith(".parquet")
    rows = _read_parquet(spark, uri) if is_parquet else parse_csv(_read_file(folder, "roll_up"), uri)
    return resolved(entries_of(rows, from_system, to_system, uri), policy)


def entries_of(
    rows: Iterable[tuple[str | None, str | None]], from_system: str, to_system: str | None, where: str
) -> dict[str, list[Entry]]:
    """Code → its targets, of (from, to) pairs as read_two_columns says. Raises ContractError."""
    targets: dict[str, set[str]] = defaultdict(set)
    for number, (source, target) in enumerate(rows, 1):
        row = f"{where}, row {number}"
        targets[_code(source, from_system, FROM, row)].add(_code(target, to_system, TO, row))
    if not targets:
        raise ContractError(f"{where} is empty", "a map has at least one pair of codes", "check --roll_up")
    return {
        code: [Entry(target, scenario=1, choice_list=n) for n, target in enumerate(sorted(found), 1)]
        for code, found in targets.items()
    }


def _read_parquet(spark: SparkSession, uri: str) -> list[tuple[str | None, str | None]]:
    try:
        rows = spark.read.parquet(literal(uri))
        _require_columns(rows.columns, uri)
        found = rows.select(FROM, TO).toArrow()
    except (PySparkException, Py4JJavaError) as error:
        raise ContractError(
            f"{uri} cannot be read as Parquet ({type(error).__name__})", _TABLE_RULE, "check --roll_up"
        ) from error
    sources, targets = (found[name].cast(pa.string()).to_pylist() for name in (FROM, TO))
    return list(zip(sources, targets, strict=True))


def parse_csv(content: bytes, where: str) -> list[tuple[str, str]]:
    """The columns `from` and `to` of a CSV file with a header, plain or gzipped. Raises ContractError."""
    try:
        text = decode_text(gunzipped(content, where), where, _TABLE_RULE, "save it as UTF-8")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise ContractError(
            f"{where} cannot be read as CSV ({type(error).__name__})", _TABLE_RULE, "check --roll_up"
        ) from error
    header = rows[0] if rows else []
    _require_columns(header, where)
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise ContractError(
                f"{where}, row {number} has {len(row)} fields",
                f"each row has as many fields as the first line, {len(header)}",
                "fix the row; a field with a comma is quoted",
            )
    source, target = header.index(FROM), header.index(TO)
    return [(row[source], row[target]) for row in rows[1:]]


def _require_columns(found: Sequence[str], uri: str) -> None:
    if any(found.count(name) != 1 for name in (FROM, TO)):
        raise ContractError(
            f"{uri} has the columns {', '.join(found) or 'none'}",
            f"a map has the columns {FROM} and {TO}, each once",
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


def _read_file(file: Folder, option: str) -> bytes:
    if file.is_folder():
        raise ContractError(f"{file.uri} is a folder", "a map is a file", f"check --{option}")
    return file.read_bytes("")


def resolved(entries: Mapping[str, Sequence[Entry]], policy: str) -> CodeMap:
    """A map's entries as a table, by the policy for codes with several targets."""
    codes = sorted(entries)
    mapped = [resolve(code, entries[code], policy) for code in codes]
    table = pa.table(
        {
            CODE: pa.array(codes, pa.string()),
            TARGETS: pa.array([list(one.targets) for one in mapped], pa.list_(pa.string())),
            OUTCOME: pa.array([one.outcome for one in mapped], pa.string()),
        }
    )
    digest = hashlib.sha256()
    for code in codes:
        digest.update(f"{code} {entries[code]!r}\n".encode())
    systems = sorted({code.partition(SEPARATOR)[0] for code in codes})
    return CodeMap(table, tuple(systems), digest.hexdigest())
