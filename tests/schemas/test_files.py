import os

import pytest
from fsspec.implementations.local import LocalFileSystem

from schemas.files import write_whole


def test_a_file_is_the_old_one_until_it_is_the_new_one(tmp_path, monkeypatch):
    path = str(tmp_path / "file.json")
    filesystem = LocalFileSystem()
    write_whole(filesystem, path, b"old")

    def half(self, path, value, **options):
        with open(path, "wb") as stream:
            stream.write(value[: len(value) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "pipe_file", half)
        with pytest.raises(OSError, match="No space"):
            write_whole(filesystem, path, b"new and longer")
    with open(path, "rb") as stream:
        assert stream.read() == b"old"
    write_whole(filesystem, path, b"new")
    with open(path, "rb") as stream:
        assert stream.read() == b"new"
    assert os.listdir(tmp_path) == ["file.json"]
