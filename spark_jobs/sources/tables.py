"""Raw tables in whatever Spark can read: files by their extension, or any `spark.read` format by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.errors import ContractError
from schemas.manifest import join
from spark_jobs.files.literal_paths import literal
from spark_jobs.files.storage import Folder
from spark_jobs.sources.columns import plain_names
from spark_jobs.sources.delimited import read_delimited
from spark_jobs.sources.parquet_tables import read_parquet
from spark_jobs.transforms.diagnoses import CORRUPT

CSV = "csv"
PARQUET = "parquet"
CATALOG_TABLE = "table"
JDBC = "jdbc"
# Formats that Spark reads as files, and whose paths are patterns.
FILE_FORMATS = (CSV, PARQUET, "orc", "json", "text", "xml", "avro")
TEXT_FILE = re.compile(r"\.(csv|tsv|txt)(\.(gz|bz2|zst))?$", re.IGNORECASE)
EXTENSIONS = {"parquet": PARQUET, "orc": "orc", "json": "json", "jsonl": "json"}
TABLE_ENDING = r"(\.(csv|tsv|txt)(\.(gz|bz2|zst))?|\.parquet|\.orc|\.json)?"


@dataclass(frozen=True)
class RawInput:
    """Where the raw data are, and in which form.

    uri: a file or folder; with format table, jdbc or iceberg a table's name, or that of the schema with the
    tables. format: of `spark.read`, `table` for one of the catalog, or None: by file extension. options: of
    `spark.read`, as they are; they may hold a password, so they appear in no manifest and no message. files:
    of the folder uri only these, as one table; none: all.
    """

    spark: SparkSession
    uri: str
    format: str | None = None
    options: Mapping[str, bool | int | str] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def is_path(self) -> bool:
        """Whether uri is a file or folder, and not the name of a table."""
        by_name = self.format in (CATALOG_TABLE, JDBC)
        return not by_name and (self.format is None or "/" in self.uri or self.folder.exists())

    @property
    def folder(self) -> Folder:
        return Folder(self.spark, self.uri)

    def require(self) -> None:
        """Raise ContractError where there is no such file, folder or catalog table."""
        if self.is_path and not self.folder.exists():
            raise ContractError(
                f"{self.uri} does not exist", "the input is a file or folder", "check --input, and --format"
            )

    def read(
        self,
        name: str | None = None,
        separator: str = ",",
        needed: Collection[str] = (),
        tabs_are_plain: bool = False,
    ) -> DataFrame:
        """One table: columns by name in lower case, and `_corrupt_record`.

        CSV: every column is text. Other formats keep their types. name: a table below uri; None is uri
        itself. needed: plain names of columns that will be read: files that do not agree on them are an
        error (parquet_tables), and they tell the separator of text files (delimited). separator: the one in
        doubt, unless the extension is .tsv; the options may say another (sep). tabs_are_plain: see
        delimited. Raises ContractError for what cannot be read.
        """
        self.require()
        where = self._where(name)
        if self.is_path and not Folder(self.spark, where).exists():
            raise ContractError(f"{where} does not exist", "it is named as a table to read", "check its name")
        paths = list(self.files) or [where]
        chosen, separator_found = self.format, None
        if chosen in (None, CSV):
            found, separator_found = _form_of(Folder(self.spark, paths[0]))
            chosen = chosen or found
        # Partition columns are those of the whole folder's files.
        options = {"basePath": where} | dict(self.options) if self.files else self.options
        try:
            if chosen == CSV:
                usual = separator_found or separator
                return read_delimited(self.spark, paths, usual, options, needed, tabs_are_plain)
            if chosen == PARQUET and self.is_path:
                return _typed(read_parquet(self.spark, paths, options, needed))
            if self.files:
                reader = self.spark.read.format(chosen).options(**options)
                return _typed(reader.load([literal(path) for path in paths]))
            return _typed(self._load(chosen, where))
        except (PySparkException, Py4JJavaError) as error:
            raise ContractError(
                f"{where} cannot be read as {chosen} ({_cause(error)})",
                "Spark must find and understand the table",
                "check --input, --format and --format_options, and that Spark has the format's package",
            ) from error

    def parquet_files(self, name: str | None = None) -> list[str]:
        """The files that `read` would read, where they are all Parquet and no options say how.

        None of them where a folder has folders: which of these are read, and as what, is Spark's to say.
        """
        if not self.is_path or self.format not in (None, PARQUET) or self.options:
            return []
        if self.files:
            return list(self.files) if all(map(_is_parquet, self.files)) else []
        table = Folder(self.spark, self._where(name))
        if not table.is_folder():
            return [table.qualified] if table.exists() and _is_parquet(table.uri) else []
        entries = [entry for entry in table.list() if not is_hidden(entry.path)]
        if any(entry.is_folder or not _is_parquet(entry.path) for entry in entries):
            return []
        return [join(table.qualified, entry.path) for entry in entries]

    def tables(
        self, needed: Mapping[str, Collection[str]], tabs_are_plain: bool = False
    ) -> dict[str, DataFrame]:
        """Several tables of one folder or schema, by name in any case, with or without an extension.

        needed: table → the columns that will be read (`read`). Raises ContractError where one is missing, or
        there twice.
        """
        if not self.is_path:
            return {name: self.read(name) for name in needed}
        self.require()
        found = {name: self._find(name, list(needed)) for name in needed}
        return {
            name: self.read(found[name], needed=columns, tabs_are_plain=tabs_are_plain)
            for name, columns in needed.items()
        }

    def has_table(self, name: str) -> bool:
        """Whether a folder holds that table; False for what is no folder."""
        return self.is_path and bool(self._candidates(name))

    def _find(self, name: str, wanted: list[str]) -> str:
        found = self._candidates(name)
        if len(found) != 1:
            there = ", ".join(entry.path for entry in self.folder.list()) or "nothing"
            raise ContractError(
                f"{self.uri} has {len(found)} tables {name} (it has {there})",
                f"the folder has one each of {', '.join(wanted)}: .csv, .csv.gz or .parquet",
                "give the folder that holds them",
            )
        return found[0]

    def _candidates(self, name: str) -> list[str]:
        form = re.compile(re.escape(name) + TABLE_ENDING, re.IGNORECASE)
        return [entry.path for entry in self.folder.list() if form.fullmatch(entry.path)]

    def _where(self, name: str | None) -> str:
        if name is None:
            return self.uri
        return join(self.uri, name) if self.is_path else f"{self.uri}.{name}" if self.uri else name

    def _load(self, chosen: str, where: str) -> DataFrame:
        if chosen == CATALOG_TABLE:
            return self.spark.read.options(**self.options).table(where)
        reader = self.spark.read.format(chosen).options(**self.options)
        if chosen == JDBC:
            # A query or table among the options is the user's own choice.
            named = {"query", "dbtable"} & {option.lower() for option in self.options}
            return reader.load() if named else reader.option("dbtable", where).load()
        return reader.load(literal(where) if chosen in FILE_FORMATS else where)


def _typed(rows: DataFrame) -> DataFrame:
    """With `_corrupt_record`, null: rows that are typed came whole."""
    return plain_names(rows).withColumn(CORRUPT, F.lit(None).cast("string"))


def _form_of(folder: Folder) -> tuple[str, str | None]:
    """(format, the separator of fields where the extension says it); without a known extension CSV.

    By the extension of the file, or of the first of the folder's files that has a known one. Its own files
    come before those in folders below, which Spark only reads where they are partitions.
    """
    for name in _names_in(folder):
        text, extension = TEXT_FILE.search(name), name.rpartition(".")[2].lower()
        if text:
            return CSV, "\t" if text[1].lower() == "tsv" else None
        if extension in EXTENSIONS:
            return EXTENSIONS[extension], None
    return CSV, None


def _names_in(folder: Folder) -> Iterator[str]:
    yield folder.uri
    yield from (entry.path for entry in folder.list() if not entry.is_folder and not is_hidden(entry.path))
    yield from (entry.path for entry in folder.files() if not any(map(is_hidden, entry.path.split("/"))))


def is_hidden(name: str) -> bool:
    """Whether Spark passes over a file or folder."""
    return name[0] == "." or (name[0] == "_" and "=" not in name) or name.endswith("._COPYING_")


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


def _cause(error: PySparkException | Py4JJavaError) -> str:
    """The kind of error by name; never its message, which may show options or data."""
    if isinstance(error, AnalysisException):
        return error.getCondition() or "no such table"
    if isinstance(error, PySparkException):
        return error.getCondition() or type(error).__name__
    return error.java_exception.getClass().getSimpleName()
