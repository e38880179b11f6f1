"""A local folder that is written whole: where it is until then, and what killed processes leave of it."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading

import pytest

from conversion import bundle
from conversion.bundle import staged_folder
from schemas.errors import ContractError
from schemas.lease import FolderInUse, hold
from schemas.manifest import MANIFEST_NAME, Manifest, describe_file, publish_manifest, read_manifest


def fill(staging, text):
    with open(f"{staging}/text", "w") as stream:
        stream.write(text)
    publish_manifest(staging, Manifest("model", files=(describe_file(staging, "text", 0),)))


def write(output, text):
    with staged_folder(output, "model") as staging:
        fill(staging, text)


def content(output):
    read_manifest(output, "model", verify=True)
    assert sorted(os.listdir(output)) == [MANIFEST_NAME, "text"]
    with open(f"{output}/text") as stream:
        return stream.read()


def cannot_exchange(monkeypatch):
    """As on file systems, and systems, without an exchange in one step."""
    monkeypatch.setattr(bundle, "_exchange", lambda one, other: False)


def test_nobody_finds_a_second_writer(tmp_path):
    output = str(tmp_path / "model")
    with staged_folder(output, "model") as staging:
        fill(staging, "first")
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on"):
            write(output, "second")
    assert content(output) == "first"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("output", ["model", "a b/[m]*.x"])
def test_what_is_not_finished_is_beside_the_output_and_only_for_its_owner(tmp_path, monkeypatch, output):
    output = str(tmp_path / output)
    monkeypatch.delenv("TMPDIR", raising=False)
    before = tempfile.gettempdir()
    with staged_folder(output, "model") as staging:
        place = os.path.dirname(staging)
        assert os.path.dirname(place) == os.path.dirname(output)
        parts = (os.path.basename(output), f"-{os.getpid()}-", "staging")
        assert all(part in os.path.basename(place) for part in parts)
        assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
        command = [sys.executable, "-S", "-c", "import tempfile; print(tempfile.mkdtemp())"]
        for folder in (tempfile.mkdtemp(), subprocess.check_output(command, text=True)):
            assert folder.startswith(f"{place}/")
        fill(staging, "new")
    assert content(output) == "new"
    assert os.listdir(os.path.dirname(output)) == [os.path.basename(output)]
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == (before, None)


@pytest.mark.parametrize("older", [None, "older"])
def test_nothing_is_left_of_one_that_fails(tmp_path, older):
    output = str(tmp_path / "new" / "model")
    if older:
        write(output, older)
    with pytest.raises(KeyError), staged_folder(output, "model") as staging:
        fill(staging, "new")
        raise KeyError
    if older:
        assert content(output) == older
        assert os.listdir(tmp_path / "new") == ["model"]
    else:
        assert os.listdir(tmp_path) == []


def _in_the_block(monkeypatch, die):
    return die


def _before_the_exchange(monkeypatch, die):
    monkeypatch.setattr(bundle, "_exchange", lambda one, other: die())


def _after_the_exchange(monkeypatch, die):
    exchange = bundle._exchange

    def exchange_and_die(one, other):
        assert exchange(one, other), "this file system cannot exchange folders"
        die()

    monkeypatch.setattr(bundle, "_exchange", exchange_and_die)


def _at_rename(number):
    def at_rename(monkeypatch, die):
        cannot_exchange(monkeypatch)
        rename, seen = os.rename, []

        def rename_and_die(one, other):
            rename(one, other)
            seen.extend(path for path in (one, other) if os.path.basename(path) == "model")
            if len(seen) == number:
                die()

        monkeypatch.setattr(bundle.os, "rename", rename_and_die)

    return at_rename


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("older", [None, "older"])
@pytest.mark.parametrize(
    ("moment", "found"),
    [
        (_in_the_block, "older"),
        (_before_the_exchange, "older"),
        (_after_the_exchange, "new"),
        (_at_rename(1), "older"),
        (_at_rename(2), "new"),
    ],
)
def test_the_next_one_finds_a_whole_folder_and_clears_what_a_killed_one_left(
    tmp_path, monkeypatch, moment, found, older, can_exchange
):
    output = str(tmp_path / "model")
    if older:
        write(output, older)
    child = os.fork()
    if not child:

        def die():
            os.kill(os.getpid(), signal.SIGKILL)

        dies = moment(monkeypatch, die)
        with staged_folder(output, "model") as staging:
            fill(staging, "new")
            if dies:
                dies()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    if not can_exchange:
        cannot_exchange(monkeypatch)
    whole = [os.path.dirname(path) for path in map(str, tmp_path.rglob(MANIFEST_NAME))]
    assert whole, "neither the older folder nor the new one is there"
    with pytest.raises(KeyError), staged_folder(output, "model"):
        assert len(os.listdir(tmp_path)) == 2  # the output, and where it is written
        raise KeyError
    if older or found == "new":
        assert content(output) == (found if older else "new")
    else:
        assert not os.path.exists(f"{output}/{MANIFEST_NAME}")
    write(output, "newest")
    assert content(output) == "newest"
    assert os.listdir(tmp_path) == ["model"]


def test_readers_find_a_folder_at_every_moment(tmp_path):
    output = str(tmp_path / "model")
    write(output, "older")
    os.mkdir(tmp_path / "empty")
    if not bundle._exchange(str(tmp_path / "empty"), str(tmp_path / "empty")):
        pytest.skip("this file system cannot exchange folders")
    missing, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            if not os.path.exists(f"{output}/{MANIFEST_NAME}"):
                missing.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(20):
        write(output, str(number))
    ended.set()
    reader.join()
    assert not missing


def test_staging_of_outputs_with_longer_names_is_left_alone(tmp_path):
    with staged_folder(str(tmp_path / "model.b"), "model") as staging:
        fill(staging, "b")
        write(str(tmp_path / "model"), "a")
        assert os.path.exists(f"{staging}/text")
    assert content(str(tmp_path / "model.b")) == "b"


def test_a_link_to_a_folder_stays_one(tmp_path):
    target, output = str(tmp_path / "there" / "model"), str(tmp_path / "link")
    write(target, "older")
    os.symlink(target, output)
    write(output, "new")
    assert os.path.islink(output)
    assert content(target) == "new"
    assert os.listdir(tmp_path / "there") == ["model"]


def test_a_folder_that_cannot_be_moved_leaves_the_older_one(tmp_path, monkeypatch):
    output = str(tmp_path / "model")
    write(output, "older")
    cannot_exchange(monkeypatch)
    rename = os.rename

    def fails(one, other):
        if other == output and "older" not in os.path.basename(one):
            raise OSError(errno.EBUSY, "busy")
        rename(one, other)

    monkeypatch.setattr(bundle.os, "rename", fails)
    with pytest.raises(OSError, match="busy"):
        write(output, "new")
    assert content(output) == "older"
    assert os.listdir(tmp_path) == ["model"]


def test_another_kind_that_came_while_this_one_waited_is_refused(tmp_path, monkeypatch):
    output = str(tmp_path / "model")

    def hold_late(folder):
        os.makedirs(folder)
        publish_manifest(folder, Manifest("vocabulary"))
        return hold(folder)

    monkeypatch.setattr(bundle, "hold", hold_late)
    with pytest.raises(ContractError, match="holds vocabulary"):
        write(output, "new")
    read_manifest(output, "vocabulary")
