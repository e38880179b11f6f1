"""What the header line of a text file with separators says: its encoding, its separator and its names.

Read here and not by Spark, which shows what it found in its log and its errors (in a file without a header
that is a patient's row), and which finds the header of some files in another file (a path with the signs of
a pattern, with an encoding).
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from schemas.errors import ContractError
from spark_jobs.files.storage import Folder
from spark_jobs.sources.columns import plain_name

SEPARATORS = (",", "\t", "|", ";")
UTF8 = "UTF-8"
# Of characters of several bytes each, whose lines Spark can only tell apart after decoding.
WIDE = ("utf-16", "utf-32", "utf_16", "utf_32", "x-utf-16", "x-utf-32")
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_FEW_BYTES, _MOST_BYTES = 1 << 16, 1 << 22


@dataclass(frozen=True)
class Form:
    """How fields and lines are written: Spark's options of the same names."""

    encoding: str = UTF8
    quote: str = '"'
    escape: str = '"'
    comment: str = ""
    multiline: bool = False
    line_separator: str = ""

    @classmethod
    def of(cls, options: Mapping[str, bool | int | str]) -> Form:
        """options: their names in lower case."""
        return cls(
            str(options.get("encoding", options.get("charset", UTF8))),
            str(options.get("quote", '"')),
            str(options.get("escape", '"')),
            str(options.get("comment", "")),
            str(options.get("multiline", False)).lower() == "true",
            str(options.get("linesep", "")),
        )

    @property
    def is_wide(self) -> bool:
        return self.encoding.lower().startswith(WIDE)


def header_line(spark: SparkSession, uri: str, form: Form) -> str | None:
    """The first line that is neither blank nor a comment; "" where there is none.

    None where the file is compressed in a way that only Spark can read. Raises ContractError for a file in
    another encoding that takes two or four bytes a character. form: of an encoding that is known.
    """
    for most_bytes in (_FEW_BYTES, _MOST_BYTES):
        head = Folder(spark, uri).head(most_bytes=most_bytes)
        if head is None:
            return None
        if not form.is_wide:
            _require_narrow(head, uri)
        # What was cut off may end in the middle of a line.
        lines = list(_records(_decoded(spark, head, form.encoding), form))
        if len(lines) > 1 or len(head) < most_bytes:
            break
    return lines[0] if lines else ""


def fields_of(line: str, separator: str, form: Form) -> list[str]:
    """The fields of one line, unquoted."""
    if not line:
        return []
    if len(separator) != 1 or len(form.escape) > 1 or len(form.quote) > 1:
        return [field.strip(form.quote or None) for field in line.split(separator)]
    doubled = form.escape == form.quote
    quoting = {"quotechar": form.quote} if form.quote else {"quotechar": None, "quoting": csv.QUOTE_NONE}
    reader = csv.reader(
        io.StringIO(line, newline=""),
        delimiter=separator,
        doublequote=doubled,
        escapechar=None if doubled or not form.quote else form.escape or None,
        **quoting,
    )
    return next(reader, [])


def separator_of(line: str, usual: str, needed: Collection[str], form: Form) -> str:
    """The separator that splits a header line into most of the columns that are needed, else into most.

    usual: what it is in doubt. needed: columns' names in lower case.
    """

    def found(separator: str) -> tuple[int, int]:
        names = {plain_name(name) for name in fields_of(line, separator, form)}
        return len(names & set(needed)), len(names)

    return max(dict.fromkeys((usual, *SEPARATORS)), key=found)


def distinct_names(names: list[str]) -> list[str]:
    """The same in order; one that is empty, or there several times in any case, has its place added."""
    times = Counter(name.lower() for name in names)
    return [
        f"_c{place}" if not name else f"{name}{place}" if times[name.lower()] > 1 else name
        for place, name in enumerate(names)
    ]


def _require_narrow(head: bytes, uri: str) -> None:
    if head.startswith(_BYTE_ORDER_MARKS) or b"\0" in head.partition(b"\n")[0]:
        raise ContractError(
            f"{uri} is not in UTF-8: its first line has bytes of UTF-16 or UTF-32",
            "text is read as UTF-8, unless an option names another encoding",
            "give --format_options '{encoding: UTF-16}', or convert the file to UTF-8",
        )


def require_encoding(spark: SparkSession, encoding: str) -> None:
    """Raise ContractError for an encoding that Java does not know."""
    assert spark._jvm
    try:
        spark._jvm.java.nio.charset.Charset.forName(encoding)
    except (Py4JJavaError, PySparkException) as error:
        raise ContractError(
            f"the encoding is {encoding}",
            "it is a name that Java knows, e.g. UTF-8, ISO-8859-1, windows-1252, UTF-16",
            "give another in --format_options",
        ) from error


def _decoded(spark: SparkSession, head: bytes, encoding: str) -> str:
    """As Java decodes it, whose names of encodings Spark takes; what is no character is U+FFFD."""
    assert spark._jvm
    return spark._jvm.java.lang.String(head, encoding).removeprefix("\ufeff")


def _records(text: str, form: Form) -> Iterator[str]:
    """Lines that are neither blank nor comments; with form.multiline, lines that quotes join are one."""
    lines = text.split(form.line_separator) if form.line_separator else _lines(text)
    joined = ""
    for line in lines:
        if not joined and (not line.strip() or (form.comment and line.startswith(form.comment))):
            continue
        joined = f"{joined}\n{line}" if joined else line
        if not form.multiline or not form.quote or joined.count(form.quote) % 2 == 0:
            yield joined
            joined = ""
    if joined:
        yield joined


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
