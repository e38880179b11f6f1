"""A take-over: what the old manifest named goes, what neither names stays, whenever it is killed."""

import pytest

from schemas.errors import NotPublished
from schemas.manifest import Manifest, read_manifest
from spark_jobs.files.publish import publish, start_output, write_file
from spark_jobs.files.replacing import start_next, take_over
from spark_jobs.files.storage import Folder
from tests.spark_jobs.stages import files_in

pytestmark = pytest.mark.spark


def _publish(folder, *names):
    files = tuple(write_file(folder, name, name.encode(), 1) for name in names)
    publish(folder, Manifest("words", files=files))


class Stopped(Exception):
    pass


def test_wherever_it_stops_the_next_one_ends_with_the_new_files_and_the_user_s(spark, tmp_path, monkeypatch):
    def stopping(method):
        def change(*arguments):
            changes.append(method)
            if len(changes) > allowed:
                raise Stopped
            return method(*arguments)

        return change

    allowed, stopped = 0, True
    while stopped:
        uri = str(tmp_path / str(allowed))
        _publish(start_output(spark, uri), "a.txt", "split=x/b.txt")
        (tmp_path / str(allowed) / "notes.txt").write_text("mine")
        _publish(start_next(spark, uri), "a.txt", "c.txt")
        changes = []
        with monkeypatch.context() as patched:
            for name in ("delete", "rename", "write_bytes"):
                patched.setattr(Folder, name, stopping(getattr(Folder, name)))
            try:
                take_over(spark, uri, "words")
                stopped = False
            except Stopped:
                pass
        if stopped and allowed and len(changes) < 7:
            with pytest.raises(NotPublished):
                read_manifest(uri, "words")
        take_over(spark, uri, "words")
        assert [file.path for file in read_manifest(uri, "words", verify=True).files] == ["a.txt", "c.txt"]
        seen = {path for path in files_in(uri) if path[0] not in "_."}
        assert seen == {"manifest.json", "notes.txt", "a.txt", "c.txt"}
        allowed += 1
    assert allowed > 7
