import os

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from schemas.errors import ContractError, NotThere
from schemas.files import parse_json, read_text, write_whole
from schemas.manifest import Manifest, publish_manifest


def test_a_writer_that_is_killed_leaves_the_older_file(tmp_path, kill_writes):
    uri = str(tmp_path / "page.html")
    write_whole(uri, b"older")
    write_whole(uri, b"new")
    publish_manifest(str(tmp_path), Manifest("model"))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    assert before["page.html"] == b"new"
    assert set(before) == {"page.html", "manifest.json"}
    kill_writes("")
    with pytest.raises(KeyboardInterrupt):
        write_whole(uri, b"newest")
    with pytest.raises(KeyboardInterrupt):
        publish_manifest(str(tmp_path), Manifest("model", {"a": 1}))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_full_disk_leaves_the_older_file(tmp_path, monkeypatch):
    uri = str(tmp_path / "file.json")
    write_whole(uri, b"older")

    def half(self, path, value, **options):
        with open(path, "wb") as stream:
            stream.write(value[: len(value) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "pipe_file", half)
        with pytest.raises(OSError, match="No space"):
            write_whole(uri, b"new and longer")
    assert (tmp_path / "file.json").read_bytes() == b"older"
    write_whole(uri, b"new")
    assert os.listdir(tmp_path) == ["file.json"]


def test_on_a_store(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    for content in (b"older", b"new"):
        write_whole("memory://run/pretrain/metrics.jsonl", content)
    assert MemoryFileSystem().find("/") == ["/run/pretrain/metrics.jsonl"]
    assert MemoryFileSystem().cat_file("/run/pretrain/metrics.jsonl") == b"new"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("folder", "is a folder"),
        ("a\né".encode("latin-1"), "line 2 is not text in UTF-8"),
        ("é".encode("utf-16"), "line 1 is not text in UTF-8"),
        (b"\x80", "line 1 is not text in UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_the_rule(tmp_path, content, words):
    path = tmp_path / "x.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(
        ContractError, match=rf"x\.txt {words}\. Rule: it is text\. Remedy: look at it\."
    ) as of:
        read_text(str(path), "it is text", "look at it")
    assert isinstance(of.value, NotThere) == (content is None)


def test_text_is_read_without_its_byte_order_mark(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfa\xc3\xa9\r\n")
    assert read_text(str(tmp_path / "x.txt"), "", "") == "aé\r\n"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 50_000, b"9" * 5000])
def test_what_is_no_json_is_refused(content):
    with pytest.raises(ContractError, match="x cannot be read as JSON"):
        parse_json(content, "x", "it is JSON", "look at it")
