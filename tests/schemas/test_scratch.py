"""Temporary folders of processes that are gone."""

import os
import signal
import stat
import tempfile
from dataclasses import replace

import pytest

from schemas.owner import Owner
from schemas.scratch import temporary_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_for_its_owner_and_goes(temporary):
    with temporary_folder() as folder:
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert [str(path) for path in temporary.iterdir()] == [folder]
        with temporary_folder() as another:
            assert another != folder
        assert os.path.isdir(folder)
    assert os.listdir(temporary) == []


def test_what_a_killed_process_left_goes_and_nothing_else(temporary, monkeypatch):
    child = os.fork()
    if not child:
        with temporary_folder() as folder:
            os.mkdir(f"{folder}/below")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = os.listdir(temporary)
    me = Owner.this_process()
    elsewhere = left.replace(me.machine, "another")
    names = {"medbert-lake.mine", "medbert-lake.a.b.c.d", "else", elsewhere}
    for name in names:
        (temporary / name).mkdir()
    (temporary / "target").mkdir()
    os.symlink(temporary / "target", temporary / f"{left}link")
    with temporary_folder():
        assert set(os.listdir(temporary)) - names - {"target", f"{left}link"} == {
            name for name in os.listdir(temporary) if f".{os.getpid()}." in name
        }
        assert left not in os.listdir(temporary)
    assert set(os.listdir(temporary)) == names | {"target", f"{left}link"}
    monkeypatch.setattr(os, "geteuid", lambda: -1)  # as another user
    (temporary / left).mkdir()
    with temporary_folder():
        assert left in os.listdir(temporary)
    assert replace(me, began="0").is_gone()
