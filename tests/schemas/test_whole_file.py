import os

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from schemas.manifest import Manifest, publish_manifest
from schemas.whole_file import write_whole


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


def test_on_a_store(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    for content in (b"older", b"new"):
        write_whole("memory://run/pretrain/metrics.jsonl", content)
    assert MemoryFileSystem().find("/") == ["/run/pretrain/metrics.jsonl"]
    assert MemoryFileSystem().cat_file("/run/pretrain/metrics.jsonl") == b"new"
