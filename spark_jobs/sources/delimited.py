"""Text files with separators, CSV or TSV, with a header: read by Spark, headers compared before.

Spark could compare them, but shows what it found in its log and its error: in a file without a header that is
a patient's row. And it takes a header with an unnamed column, or with two of a name, for another one than the
schema that it made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from schemas.errors import ContractError
from spark_jobs.files.storage import Folder
from spark_jobs.sources.columns import plain_names, quoted
from spark_jobs.transforms.diagnoses import CORRUPT

_FILES_AT_ONCE = 16
# With these the first line need not be the header, or not all of it.
_HEADER_ELSEWHERE = {"comment", "multiline"}
_READING: dict[str, bool | str] = {
    "enforceschema": True,
    "inferschema": False,
    # Otherwise a short line goes unseen when few columns are asked for, is lost, or is shown in an error.
    "columnpruning": False,
    "mode": "PERMISSIVE",
    "columnnameofcorruptrecord": CORRUPT,
}


def read_delimited(
    spark: SparkSession,
    paths: list[str],
    separator: str,
    options: Mapping[str, bool | int | str] | None = None,
) -> DataFrame:
    """CSV or TSV with a header, plain or compressed: every column as text, names trimmed and in lower case.

    Adds `_corrupt_record`: the line, where it does not have the header's number of fields; else null. Raises
    ContractError for files of several headers. options: of Spark's reader, over these.
    """
    settings = {"sep": separator, "header": True, "quote": '"', "escape": '"'}
    settings |= {name.lower(): value for name, value in (options or {}).items()}
    settings |= _READING

    def header_of(files: str | list[str]) -> list[str]:
        return spark.read.options(**settings).csv(files).schema.fieldNames()

    fields = ", ".join(f"{quoted(name)} string" for name in (*header_of(paths), CORRUPT))
    rows = spark.read.options(**settings).schema(fields).csv(paths)
    if str(settings["header"]).lower() == "true":
        files = sorted(map(unquote, rows.inputFiles()))
        _require_one_header(spark, files, header_of, not _HEADER_ELSEWHERE & settings.keys())
    return plain_names(rows)


def _require_one_header(
    spark: SparkSession, uris: list[str], header_of: Callable[[str], list[str]], first_line_is_header: bool
) -> None:
    """Raise ContractError where files have several headers; what they say is not shown.

    header_of: starts a Spark job. Files that begin with the same line need only one.
    """
    if len(uris) < 2:
        return
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        lines = list(pool.map(partial(_first_line, spark), uris))
    # An empty file has no header.
    filled = [(uri, line) for uri, line in zip(uris, lines, strict=True) if line != b""]
    files: dict[bytes | str, str] = {}
    for uri, line in filled:
        files.setdefault(line if line and first_line_is_header else uri, uri)
    if len(files) < 2:
        return
    first, *others = files.values()
    names = header_of(first)
    for uri in others:
        found = header_of(uri)
        if [name.lower() for name in found] != [name.lower() for name in names]:
            raise ContractError(
                f"the first line of {uri} names other columns ({len(found)}) than that of {first} "
                f"({len(names)})",
                "files of one table have one header: the same columns in the same order",
                "give each file its header, or ingest them apart",
            )


def _first_line(spark: SparkSession, uri: str) -> bytes | None:
    """None where only Spark can read it, which has codecs that Hadoop lacks on some machines."""
    try:
        return Folder(spark, uri).first_line()
    except Py4JJavaError:
        return None
