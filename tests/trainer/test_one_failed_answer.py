"""A store that fails once has not said that there is nothing."""

from __future__ import annotations

from dataclasses import replace

import fsspec
import pytest

from schemas.checkpoint import list_checkpoints, open_checkpoint
from schemas.files import exists, names_in
from schemas.manifest import MANIFEST_NAME, unpublish
from tests.trainer.failing_store import FailingStore
from tests.trainer.runs import read_log, run_ranks
from trainer.core import storage
from trainer.core.storage import CannotRead


@pytest.fixture(autouse=True)
def working(monkeypatch):
    """Empty, soon tried again, and answering until a test has it fail."""
    monkeypatch.setattr(storage, "WAITS", (0.01,) * len(storage.WAITS))
    monkeypatch.setattr(FailingStore, "fails", staticmethod(lambda path: False))
    FailingStore.store.clear()
    FailingStore.pseudo_dirs[:] = [""]


@pytest.fixture
def fail(monkeypatch):
    """Have so many questions about paths with this ending fail; the list of those that did."""

    def start(ending, times):
        failed = []

        def fails(path):
            if path.rstrip("/").endswith(ending) and len(failed) < times:
                failed.append(path)
                return True
            return False

        monkeypatch.setattr(FailingStore, "fails", staticmethod(fails))
        return failed

    return start


@pytest.fixture
def trained(make_config):
    """The configuration of a run of 20 steps with two checkpoints."""
    config = make_config(output="failing://bucket/run", steps=20, keep_checkpoints=2, keep_best=0)
    run_ranks(config)
    return config


@pytest.mark.parametrize("ending", ["/checkpoints", f"/step-00000020/{MANIFEST_NAME}", "/metrics.jsonl"])
def test_a_run_goes_on_with_its_checkpoint_and_its_log(trained, fail, ending):
    failed = fail(ending, times=1)
    config = replace(trained, steps=30)
    run_ranks(config)
    assert failed
    assert [line["step"] for line in read_log(config, "start")] == [0, 20]
    assert [line["step"] for line in read_log(config, "train")] == list(range(1, 31))


def test_a_store_that_fails_for_good_is_no_new_run(trained, fail):
    lines = read_log(trained)
    fail("/checkpoints", times=100)
    with pytest.raises(CannotRead, match=r"run cannot be read: .*connection reset"):
        run_ranks(replace(trained, steps=30))
    fail("", times=0)
    assert read_log(trained) == lines


@pytest.mark.parametrize("step", [20, 30])
@pytest.mark.parametrize("times", [1, 100])
def test_no_published_checkpoint_is_removed(trained, monkeypatch, step, times):
    def fail_from_step_30(number, backend):
        if number == 30:
            failed = []

            def fails(path):
                if path.endswith(f"step-000000{step}/{MANIFEST_NAME}") and len(failed) < times:
                    failed.append(path)
                    return True
                return False

            monkeypatch.setattr(FailingStore, "fails", staticmethod(fails))

    config = replace(trained, steps=30)
    run_ranks(config, before_step=fail_from_step_30)
    monkeypatch.setattr(FailingStore, "fails", staticmethod(lambda path: False))
    assert [number for number, _ in list_checkpoints(config.output)][-2:] == [20, 30]
    for _, uri in list_checkpoints(config.output)[-2:]:
        open_checkpoint(uri, verify=True)


def test_what_is_not_there_is_told_from_what_does_not_answer(fail):
    filesystem = FailingStore()
    filesystem.pipe_file("/bucket/folder/file", b"")
    assert exists(filesystem, "/bucket/folder/file") and exists(filesystem, "/bucket/folder")
    assert names_in(filesystem, "/bucket/folder") == ["file"]
    assert not exists(filesystem, "/bucket/other") and names_in(filesystem, "/bucket/other") == []
    fail("/file", times=1)
    with pytest.raises(OSError, match="connection reset"):
        exists(filesystem, "/bucket/folder/file")
    fail("/folder", times=1)
    with pytest.raises(OSError, match="connection reset"):
        names_in(filesystem, "/bucket/folder")
    fail(MANIFEST_NAME, times=1)
    with pytest.raises(OSError, match="connection reset"):  # and is not taken for unpublished
        unpublish("failing://bucket/folder")


def test_on_this_machine_nothing_lies_below_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    filesystem = fsspec.filesystem("file")
    assert not exists(filesystem, str(tmp_path / "file" / "inner"))
    assert names_in(filesystem, str(tmp_path / "file" / "inner")) == []
