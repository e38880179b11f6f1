"""Parquet files that prove themselves: written with page checksums, read with them and by their SHA-256.

The manifest's SHA-256 is that of the file as it was written. It is compared with the bytes that are then
decoded, not with the file, so nothing can change between. The checksums of pages (CRC-32, in the file itself)
are for readers that know no manifest: DuckDB, Spark, pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schemas.errors import ContractError
from schemas.manifest import Manifest, ManifestFile, join, listed_file, read_listed
from schemas.small_files import in_words

if TYPE_CHECKING:
    import pyarrow.parquet as pq

WRITE_OPTIONS: Mapping[str, Any] = {"write_page_checksum": True}
"""Of each pyarrow.parquet writer."""
_MOST_TIMES = 1_000
_ANYWAY_BYTES = 256 << 20
READ_OPTIONS: Mapping[str, Any] = {"page_checksum_verification": True}
"""Of each pyarrow.parquet reader. A file without checksums is read as it is."""


def open_listed_parquet(
    uri: str, file: ManifestFile, where: str | None = None, **options: Any
) -> pq.ParquetFile:
    """A listed Parquet file, read whole and compared with its SHA-256.

    where: the folder as messages name it; None: its URI. options: of pyarrow's ParquetFile. Raises
    ContractError.
    """
    return open_parquet(read_listed(uri, file, where), join(where or uri, file.path), **options)


def open_named_parquet(uri: str, manifest: Manifest, path: str) -> pq.ParquetFile:
    """As open_listed_parquet, of a file that a kind of folder always has."""
    return open_listed_parquet(uri, listed_file(uri, manifest, path))


def open_parquet(content: bytes, where: str, **options: Any) -> pq.ParquetFile:
    """A Parquet file's content, its footer decoded. Raises ContractError for what is no Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(pa.BufferReader(content), **READ_OPTIONS, **options)
        check_claims(parquet.metadata, len(content), where)
        return parquet
    except ContractError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        # The reason alone: Arrow's message may quote the file's content.
        raise ContractError(
            f"{where} cannot be read as Parquet ({type(error).__name__})",
            "a folder's tables are the Parquet files that a stage published",
            "copy the folder again whole, or run the stage that makes it",
        ) from error


def check_claims(metadata: pq.FileMetaData, num_bytes: int, where: str) -> None:
    """Refuse a footer that claims far more rows, or unpacked bytes, than a file of that size can be for.

    num_bytes: the file's. Raises ContractError.
    """
    most = max(_MOST_TIMES * num_bytes, _ANYWAY_BYTES)
    # Not its columns: Arrow ends the process where a column's part of the footer is damaged.
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    claimed = sum(max(group.total_byte_size, group.num_rows, 0) for group in groups)
    if claimed > most or metadata.num_rows > most:
        raise ContractError(
            f"{where} has {in_words(num_bytes)} and claims to hold {in_words(claimed)}, or "
            f"{metadata.num_rows} rows",
            f"a Parquet file unpacks to at most {_MOST_TIMES} times its size",
            "check that it is the file that you mean",
        )
