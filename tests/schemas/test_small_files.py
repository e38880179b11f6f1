"""A small file never becomes a large one: what claims or unpacks to more than a limit is refused unread."""

import gzip
import io
import os
import pickle
import random
import struct
import zipfile
import zlib

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion.checkpoints.safetensors_file import read_header, write_safetensors
from schemas import medbert_types
from schemas.code_maps import parse_gem
from schemas.errors import ContractError
from schemas.medbert_types import parse_types
from schemas.parquet import check_claims, open_parquet
from schemas.small_files import (
    MOST_TABLE_BYTES,
    check_npz,
    gunzipped,
    read_small_file,
)
from trainer.readers.base import ShardDamaged
from trainer.readers.tfrecord import split_records

BOMB_BYTES = 2 * MOST_TABLE_BYTES


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    return str(tmp_path) if request.param == "local" else "memory://small_files"


def _write(uri: str, content: bytes) -> str:
    with fsspec.open(uri, "wb") as file:
        file.write(content)
    return uri


def test_a_file_is_read_up_to_its_limit(folder):
    assert read_small_file(_write(f"{folder}/full", b"x" * 10), 10) == b"x" * 10
    assert read_small_file(_write(f"{folder}/empty", b""), 10) == b""
    with pytest.raises(ContractError, match=r"has more than 10 bytes.*at most 10 bytes"):
        read_small_file(_write(f"{folder}/long", b"x" * 11), 10)
    with pytest.raises(FileNotFoundError):
        read_small_file(f"{folder}/absent", 10)


def test_a_device_without_an_end_is_not_read_to_it():
    with pytest.raises(ContractError, match="more than 1 KiB"):
        read_small_file("/dev/zero", 1 << 10)


def _zeros(num_bytes: int) -> bytes:
    """Gzipped."""
    packer = zlib.compressobj(1, wbits=31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(num_bytes >> 20)) + packer.flush()


def test_gzip_stops_at_its_limit():
    bomb = _zeros(BOMB_BYTES)
    assert len(bomb) < BOMB_BYTES // 100
    with pytest.raises(ContractError, match="unpacks to more than 64 MiB"):
        gunzipped(bomb, "map.txt.gz")
    with pytest.raises(ContractError, match=r"map.txt.gz unpacks"):
        parse_gem(bomb, "ICD9CM", "ICD10CM", "map.txt.gz")


@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=3), most=st.integers(0, 700))
def test_gzip_gives_what_gzip_gives(parts, most):
    packed = b"".join(gzip.compress(part) for part in parts)
    whole = b"".join(parts)
    if len(whole) > most:
        with pytest.raises(ContractError):
            gunzipped(packed, "x", most)
    else:
        assert gunzipped(packed, "x", most) == gzip.decompress(packed) == whole
    with pytest.raises((EOFError, zlib.error)):
        gunzipped(packed[:-1], "x", MOST_TABLE_BYTES)


def _types(instructions: bytes) -> bytes:
    return b"\x80\x02" + instructions + b"."


BAD_TYPES = {
    "a dictionary a byte": (_types(b"}" * 1000), "one dictionary"),
    "a string in two bytes": (_types(b"}(" + b"\x8c\x00" * 60 + b"u"), "more than 50 instructions"),
    "a number for a memo": (_types(b"}r\xff\xff\xff\x7f"), "remembers object number"),
    "a long string": (_types(b"}\x8d" + struct.pack("<Q", 1 << 62)), "cannot be read"),
    "a long frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"}.", "cannot be read"),
    "a long number": (_types(b"}L" + b"9" * 5000 + b"L\n"), "cannot be read"),
}


@pytest.mark.parametrize("kind", BAD_TYPES)
def test_types_that_build_more_than_a_dictionary_are_refused(kind, monkeypatch):
    monkeypatch.setattr(medbert_types, "MAX_INSTRUCTIONS", 50)
    content, why = BAD_TYPES[kind]
    with pytest.raises(ContractError, match=why):
        parse_types(content, "x.types")


def test_the_papers_vocabulary_is_far_from_the_limit():
    codes = 82_603
    types = {f"ICD10_{number:07}": number for number in range(codes)}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(types, protocol)
        assert len(content) < medbert_types.MAX_BYTES // 10
    assert 3 * codes < medbert_types.MAX_INSTRUCTIONS // 10


def _npz(claimed: tuple[int, ...], content: bytes = bytes(8), dtype: str = "<f4") -> io.BytesIO:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": claimed})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + content)
    stream.seek(0)
    return stream


def test_an_npz_is_what_its_headers_say():
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(6).reshape(2, 3), b=np.zeros(0, np.int32), c=np.float32(1))
    stream.seek(0)
    check_npz(stream, "x.npz")
    assert np.load(stream)["a"].shape == (2, 3)
    check_npz(_npz((2,)), "x.npz")
    for claimed in ((1 << 40,), (3,), (1,), (1 << 40, 0), (-2,)):
        with pytest.raises(ContractError, match=r"x\.npz"):
            check_npz(_npz(claimed), "x.npz")
    with pytest.raises(ContractError, match="does not describe"):
        check_npz(_npz((1,), dtype="|O"), "x.npz")
    for damaged in (b"", b"PK", stream.getvalue()[:-30], b"\x93NUMPY"):
        with pytest.raises(ContractError, match="cannot be read"):
            check_npz(io.BytesIO(damaged), "x.npz")


def test_a_safetensors_header_is_no_longer_than_its_file(tmp_path):
    path = str(tmp_path / "model.safetensors")
    write_safetensors(path, {"a": np.zeros(3, np.float32)})
    header, start = read_header(path)
    assert header["a"]["shape"] == [3] and start + 12 == os.path.getsize(path)
    for size in (1 << 62, (1 << 64) - 1, 1 << 33, 10_000):
        with open(path, "wb") as file:
            file.write(size.to_bytes(8, "little") + b"{}")
        with pytest.raises(ContractError, match="header of"):
            read_header(path)
    for content in (b"[]", b"{", b"\xff\xff", b"[" * 50_000):
        with open(path, "wb") as file:
            file.write(len(content).to_bytes(8, "little") + content)
        with pytest.raises(ContractError, match="cannot be read"):
            read_header(path)


def test_a_parquet_footer_claims_what_its_file_can_hold():
    stream = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array(np.zeros(1_000_000, np.int32))}), stream)
    content = stream.getvalue()
    with open_parquet(content, "x.parquet") as parquet:
        assert parquet.metadata.num_rows == 1_000_000
        check_claims(parquet.metadata, len(content), "x.parquet")
    # The numbers of rows and values in the footer, as the varints that they are.
    assert content.count(_varint(1_000_000)) >= 2
    bomb = content.replace(_varint(1_000_000), _varint(1_000_000_000)[:5])
    with pytest.raises(ContractError, match=r"x\.parquet"):
        open_parquet(_with_footer_length(bomb, len(content)), "x.parquet")


def test_a_damaged_parquet_footer_is_refused_or_opened():
    """Arrow ends the process where what describes a column is asked of a damaged footer."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"x": [[1, 2], [3]], "y": ["ä", "b"]}), stream)
    content = stream.getvalue()
    (length,) = struct.unpack("<I", content[-8:-4])
    footer, chance, refused = len(content) - 8 - length, random.Random(0), 0
    for _ in range(2_000):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            damaged[footer + chance.randrange(length)] = chance.randrange(256)
        try:
            open_parquet(bytes(damaged), "x.parquet").close()
        except ContractError as error:
            assert "x.parquet" in str(error)
            refused += 1
    assert 1_000 < refused < 2_000


def _varint(number: int) -> bytes:
    """Thrift's: zigzag, seven bits a byte."""
    number <<= 1
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _with_footer_length(content: bytes, before: int) -> bytes:
    (length,) = struct.unpack("<I", content[-8:-4])
    return content[:-8] + struct.pack("<I", length + len(content) - before) + content[-4:]


def test_a_tfrecord_length_is_within_its_file():
    for length in (1 << 62, 100, 1):
        head = struct.pack("<Q", length)
        checksum = crc32c(head)
        masked = (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF
        with pytest.raises(ShardDamaged, match="ends inside record 0"):
            split_records(head + struct.pack("<I", masked) + b"x")


def test_json_nested_without_end_is_refused_like_other_damage(tmp_path):
    from schemas.model_config import read_bert_config
    from schemas.training_log import read_log

    nested = "[" * 100_000
    (tmp_path / "bert_config.json").write_text(nested)
    with pytest.raises(ContractError, match="cannot be read as JSON"):
        read_bert_config(str(tmp_path / "bert_config.json"))
    (tmp_path / "metrics.jsonl").write_text(f"{nested}\n")
    with pytest.raises(ContractError, match=r"metrics.jsonl line 1 cannot be read as JSON"):
        read_log(str(tmp_path / "metrics.jsonl"))
