"""What a user hands in as one small file, read with a limit: nothing is read, unpacked or built beyond it.

A file of a megabyte can claim, or unpack to, gigabytes: gzip, headers (and YAML: schemas.yaml_text). Whoever
reads a file whole that is not listed in a manifest reads it here.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ContractError

MOST_BYTES = 256 << 20
"""Of any such file: a manifest of a million files, a vocabulary of millions of codes."""
MOST_TABLE_BYTES = 64 << 20
"""Of a map of codes, unpacked: CMS's has 1.3 MB."""
MOST_ARRAY_BYTES = 4 << 30
"""Of the arrays of a .npz together."""

_GZIP = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20


def read_small_file(uri: str, most_bytes: int = MOST_BYTES) -> bytes:
    """A file's content, through fsspec.

    Raises ContractError for a longer one, of which no more is read than the limit, and OSError
    (FileNotFoundError, IsADirectoryError among them) or what its driver raises.
    """
    filesystem, path = fsspec.core.url_to_fs(uri)
    return read_within(filesystem, path, most_bytes, uri)


def read_within(filesystem: fsspec.AbstractFileSystem, path: str, most_bytes: int, where: str) -> bytes:
    """As `read_small_file`, of a file system's path; `where` is for messages."""
    if isinstance(filesystem, LocalFileSystem):
        # Not by its size: a device or a pipe has none.
        content: bytes = filesystem.cat_file(path, end=most_bytes + 1)
    else:
        check_size(filesystem.size(path) or 0, where, most_bytes)
        content = filesystem.cat_file(path)
    check_size(len(content), where, most_bytes)
    return content


def check_size(num_bytes: int, where: str, most_bytes: int = MOST_BYTES) -> None:
    """Raises ContractError where a file has more than `most_bytes`."""
    if num_bytes > most_bytes:
        raise ContractError(
            f"{where} has more than {in_words(most_bytes)}",
            f"such a file has at most {in_words(most_bytes)}",
            "check that it is the file that you mean",
        )


def gunzipped(content: bytes, where: str, most_bytes: int = MOST_TABLE_BYTES) -> bytes:
    """The content, unpacked where it is gzipped: all members, as gzip does.

    Raises ContractError where that is more than `most_bytes`, of which no more is unpacked, and EOFError or
    zlib.error for what is broken.
    """
    if not content.startswith(_GZIP):
        check_size(len(content), where, most_bytes)
        return content
    found = bytearray()
    rest = content
    while rest:
        unpacker = zlib.decompressobj(wbits=31)
        while rest and not unpacker.eof:
            found += unpacker.decompress(rest, min(_CHUNK_BYTES, most_bytes + 1 - len(found)))
            if len(found) > most_bytes:
                raise ContractError(
                    f"{where} unpacks to more than {in_words(most_bytes)}",
                    f"such a file has at most {in_words(most_bytes)} unpacked",
                    "check that it is the file that you mean",
                )
            rest = unpacker.unconsumed_tail
        if not unpacker.eof:
            raise EOFError("the file ends before its end")
        rest = unpacker.unused_data.lstrip(b"\0")
    return bytes(found)


def check_npz(stream: IO[bytes], where: str) -> None:
    """Raises ContractError for what is no .npz, or for arrays that claim more than is there, or than a limit.

    Only headers are read.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > MOST_ARRAY_BYTES:
                raise ContractError(
                    f"{where} unpacks to {in_words(total)}",
                    f"its arrays have at most {in_words(MOST_ARRAY_BYTES)} together",
                    "give fewer patients at a time",
                )
            for member in members:
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    read_header = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = read_header(file)
                    header = file.tell()
                if dtype.hasobject or math.prod(shape) * dtype.itemsize != member.file_size - header:
                    raise ContractError(
                        f"{where}: the header of {member.filename[:40]!r} does not describe what follows it",
                        "a .npz holds plain arrays, whole",
                        "write it again with numpy.savez",
                    )
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, zlib.error, struct.error) as error:
        if isinstance(error, ContractError):
            raise
        raise ContractError(
            f"{where} cannot be read ({type(error).__name__})",
            "it is an .npz file of plain arrays",
            "write it again with numpy.savez",
        ) from error
    stream.seek(0, io.SEEK_SET)


def in_words(num_bytes: int) -> str:
    """Bytes for people, in binary units."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if num_bytes >= size:
            return f"{num_bytes / size:.4g} {unit}"
    return f"{num_bytes} bytes"
