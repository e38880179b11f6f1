"""A folder on a store that gives no renames of folders: an older one there is lost to no failure."""

import logging

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from conversion.bundle import staged_folder
from schemas.manifest import Manifest, describe_file, publish_manifest, read_manifest

OUTPUT = "memory://lake/run/model"


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return MemoryFileSystem()


def write(texts):
    """texts: file name → text. They become the folder's only files."""
    with staged_folder(OUTPUT, "model") as staging:
        for name, text in texts.items():
            with open(f"{staging}/{name}", "w") as stream:
                stream.write(text)
        files = tuple(describe_file(staging, name, 0) for name in texts)
        publish_manifest(staging, Manifest("model", files=files))


def content(store, folder="/lake/run/model"):
    read_manifest(f"memory:/{folder}", "model", verify=True)
    paths = (path for path in store.find(folder) if not path.endswith("/manifest.json"))
    return {path.removeprefix(f"{folder}/"): store.cat_file(path).decode() for path in paths}


def fail_at(monkeypatch, method, name):
    """The store fails once it is asked for the file `name`."""
    as_it_was = getattr(MemoryFileSystem, method)

    def fails(self, source, target, **options):
        if target.endswith(f"/{name}"):
            raise ConnectionError(name)
        return as_it_was(self, source, target, **options)

    monkeypatch.setattr(MemoryFileSystem, method, fails)


def test_the_new_folder_takes_the_older_ones_place(store):
    write({"a": "old", "b": "old"})
    write({"a": "new", "c": "new"})
    assert content(store) == {"a": "new", "c": "new"}
    assert store.ls("/lake/run", detail=False) == ["/lake/run/model"]


@pytest.mark.parametrize("name", ["a", "c", "manifest.json"])
def test_an_upload_that_fails_leaves_the_older_folder(store, monkeypatch, name):
    write({"a": "old", "b": "old"})
    fail_at(monkeypatch, "put_file", name)
    with pytest.raises(ConnectionError):
        write({"a": "new", "c": "new"})
    assert content(store) == {"a": "old", "b": "old"}
    assert store.ls("/lake/run", detail=False) == ["/lake/run/model"]


@pytest.mark.parametrize("name", ["a", "c", "manifest.json"])
def test_a_copy_that_fails_leaves_the_new_folder_beside(store, monkeypatch, caplog, name):
    write({"a": "old", "b": "old"})
    fail_at(monkeypatch, "cp_file", name)
    with caplog.at_level(logging.ERROR), pytest.raises(ConnectionError):
        write({"a": "new", "c": "new"})
    assert not store.exists("/lake/run/model/manifest.json")
    beside = caplog.text.strip().rpartition(" ")[2]
    assert content(store, beside) == {"a": "new", "c": "new"}
