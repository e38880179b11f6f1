"""Text files with separators, CSV or TSV, with a header: read by Spark, headers compared before.

Spark could compare them, but shows what it found in its log and its error: in a file without a header that is
a patient's row. And it takes a header with an unnamed column, or with two of a name, for another one than the
schema that it made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from pyspark.sql import DataFrame, DataFrameReader, SparkSession

from schemas.errors import ContractError
from spark_jobs.files.literal_paths import literal
from spark_jobs.sources.columns import plain_names, quoted
from spark_jobs.sources.header_lines import (
    Form,
    distinct_names,
    fields_of,
    header_line,
    require_encoding,
    separator_of,
)
from spark_jobs.transforms.diagnoses import CORRUPT

_FILES_AT_ONCE = 16
TAB = "\t"
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
    needed: Collection[str] = (),
    tabs_are_plain: bool = False,
) -> DataFrame:
    """CSV or TSV with a header, plain or compressed: every column as text, names trimmed and in lower case.

    Adds `_corrupt_record`: the line, where it does not have the header's number of fields; else null. Raises
    ContractError for files of several headers, and for encodings that cannot be read as they are.

    separator: what it is where the header line does not say so: it is the one that splits it into the most
    of the columns that are `needed` (plain names). options: of Spark's reader, over these; a separator among
    them holds. tabs_are_plain: where tabs separate the names, and none of them is quoted, quotes are signs
    like others.
    """
    settings: dict[str, bool | int | str] = {"header": True, "quote": '"', "escape": '"'}
    settings |= {name.lower(): value for name, value in (options or {}).items()}
    settings |= _READING
    form = Form.of(settings)
    require_encoding(spark, form.encoding)
    if form.is_wide:
        settings["multiline"] = True
        form = Form.of(settings)

    def reader() -> DataFrameReader:
        return spark.read.options(**settings)

    patterns = [literal(path) for path in paths]
    listed = reader().schema(f"{CORRUPT} string").csv(patterns)
    files = sorted(map(unquote, listed.inputFiles()))
    lines = _header_lines(spark, files, form)
    first = next((line for line in lines.values() if line), "")
    found = str(settings.get("sep", settings.get("delimiter", ""))) or separator_of(
        first, separator, needed, form
    )
    settings["sep"] = found
    if tabs_are_plain and found == TAB and '"' not in first:
        settings["quote"] = ""
        form = Form.of(settings)

    def names_in(uri: str) -> list[str]:
        line = lines[uri]
        if line is None:
            return reader().csv(literal(uri)).schema.fieldNames()
        return fields_of(line, found, form)

    filled = [uri for uri in files if lines[uri] != ""]
    names = names_in(filled[0]) if filled else []
    if str(settings["header"]).lower() == "true":
        _require_one_header({uri: names_in(uri) for uri in _distinct(filled, lines)})
    else:
        names = [""] * len(names)
    fields = ", ".join(f"{quoted(name)} string" for name in (*distinct_names(names), CORRUPT))
    return plain_names(reader().schema(fields).csv(patterns))


def _header_lines(spark: SparkSession, files: list[str], form: Form) -> dict[str, str | None]:
    """File → header_lines.header_line."""
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        return dict(zip(files, pool.map(lambda uri: header_line(spark, uri, form), files), strict=True))


def _distinct(files: list[str], lines: Mapping[str, str | None]) -> list[str]:
    """One file of each header line, and all whose line is not known."""
    of_line: dict[str, str] = {}
    for uri in files:
        of_line.setdefault(lines[uri] or uri, uri)
    return list(of_line.values())


def _require_one_header(names_of: Mapping[str, list[str]]) -> None:
    """Raise ContractError where files have several headers; what they say is not shown."""
    if len(names_of) < 2:
        return
    (first, names), *others = names_of.items()
    for uri, found in others:
        if [name.lower() for name in found] != [name.lower() for name in names]:
            raise ContractError(
                f"the first line of {uri} names other columns ({len(found)}) than that of {first} "
                f"({len(names)})",
                "files of one table have one header: the same columns in the same order",
                "give each file its header, or ingest them apart",
            )
