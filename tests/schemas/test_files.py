import os

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from schemas.files import write_whole
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
