"""Text files with separators, CSV or TSV, with a header: read by Spark, headers compared before.

Spark compares them too, but shows what it found in its log and its error: in a file without a header that is
a patient's row.
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
    reader = spark.read.options(**settings).options(
        # A header that differs between files is an error, not a shift of columns.
        enforceSchema=False,
        inferSchema=False,
        # Otherwise a short line goes unseen when only some columns are asked for, is lost, or is shown in an
        # error.
        columnPruning=False,
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=CORRUPT,
    )

    found = reader.csv(paths)
    header = found.schema.fieldNames()
    if str(settings["header"]).lower() == "true":
        files = sorted(map(unquote, found.inputFiles()))
        alike = not _HEADER_ELSEWHERE & settings.keys()
        _require_one_header(spark, files, lambda uri: reader.csv(uri).schema.fieldNames(), alike)
    fields = ", ".join(f"{quoted(name)} string" for name in (*header, CORRUPT))
    return plain_names(reader.schema(fields).csv(paths))


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
