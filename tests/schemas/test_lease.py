"""Two writers in one folder, and what becomes of the lease of a process that is gone."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from schemas import lease as leases
from schemas.errors import ContractError
from schemas.lease import LEASE_NAME, FolderInUse, Holder, hold, hold_file
from schemas.owner import Owner, _began


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path, monkeypatch):
    """Of an output, on a disk and on a store."""
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return str(tmp_path / "run" / "output") if request.param == "disk" else "memory://lake/run/output"


@pytest.fixture
def quick(monkeypatch):
    """Heartbeats and what waits for them, in hundredths of the usual time."""
    for name in ("BEAT_SECONDS", "STALE_SECONDS", "_LOOK_SECONDS"):
        monkeypatch.setattr(leases, name, getattr(leases, name) / 100)


def files(folder):
    filesystem, path = fsspec.core.url_to_fs(folder)
    return {name.rpartition("/")[2] for name in filesystem.find(path)}


def read(folder):
    with fsspec.open(f"{folder}/{LEASE_NAME}") as stream:
        return Holder.from_bytes(stream.read())


def replaced(of, by):
    """The content of a lease that somebody else wrote."""
    content = Holder("token", Owner("host", "machine", 1, "0"), "then", "later").to_bytes().decode()
    return content.replace(of, of + by).encode()


def leave(folder, owner, run=None, token="a" * 32, name=LEASE_NAME):
    """The lease of a process that did not come to remove it."""
    holder = Holder(token, owner, "2024-01-01 00:00:00+00:00", "2024-01-01 01:00:00+00:00", run)
    filesystem, path = fsspec.core.url_to_fs(folder)
    filesystem.makedirs(path, exist_ok=True)
    filesystem.pipe_file(f"{path}/{name}", holder.to_bytes())
    return holder


@pytest.fixture(scope="module")
def ended():
    """A process that has ended."""
    process = subprocess.Popen(["sleep", "60"])
    owner = replace(Owner.this_process(), process=process.pid, began=_began(process.pid))
    assert owner.is_gone() is False
    process.kill()
    deadline = time.monotonic() + 60
    while not owner.is_gone():  # a zombie, which its parent has not waited for, is gone too
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.wait()
    assert owner.is_gone() is True
    return owner


@pytest.fixture
def elsewhere():
    return replace(Owner.this_process(), host="elsewhere", machine="another")


def test_the_second_is_refused_and_told_whose_folder_it_is(folder):
    with hold(folder):
        first = read(folder)
        with pytest.raises(FolderInUse) as refused, hold(folder):
            pytest.fail("two writers")
        assert read(folder) == first
        for part in (folder, first.owner.host, str(os.getpid()), first.since, first.beat, LEASE_NAME):
            assert part in str(refused.value)
    with hold(folder):
        pass
    assert files(folder) == set()


def test_nothing_is_left_of_a_folder_that_was_not_used(tmp_path):
    with pytest.raises(KeyError), hold(str(tmp_path / "new" / "er")):
        raise KeyError
    assert os.listdir(tmp_path) == []
    with hold(str(tmp_path / "new" / "er")):
        (tmp_path / "new" / "file").touch()
    assert os.listdir(tmp_path / "new") == ["file"]


def test_one_of_many_that_begin_together(folder):
    held, refused = [], []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        try:
            with hold(folder):
                held.append(1)
                barrier.wait()
        except FolderInUse:
            refused.append(1)
            barrier.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 7)


def test_one_of_many_takes_over(tmp_path, ended, monkeypatch):
    """However the steps of those who see the stale lease fall: each waits a little at random before each."""
    folder, inside, most, done = str(tmp_path), [0], [0], []
    rng, lock = random.Random(1), threading.Lock()
    for name in ("_create", "_read", "_is_stale"):
        as_it_is = getattr(leases.Lease, name)

        def later(self, *arguments, as_it_is=as_it_is):
            time.sleep(rng.random() / 1000)
            return as_it_is(self, *arguments)

        monkeypatch.setattr(leases.Lease, name, later)

    def work():
        try:
            with hold(folder):
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.002)
                with lock:
                    inside[0] -= 1
                    done.append(1)
        except FolderInUse:
            pass

    for number in range(10):
        leave(folder, ended, token=f"{number:032d}")
        # One died in the middle of taking over, too.
        leave(folder, ended, token="b" * 32, name=f"{LEASE_NAME}.{number:032d}")
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert files(folder) == set()
    assert len(done) >= 10
    assert most == [1]


def test_a_process_of_this_machine_that_is_gone_is_followed_at_once(folder, ended, caplog):
    leave(folder, ended)
    with caplog.at_level(logging.WARNING), hold(folder):
        assert read(folder).owner == Owner.this_process()
    assert f"process {ended.process} on {ended.host}" in caplog.text
    assert files(folder) == set()


def test_a_number_that_is_used_again_is_another_process(folder):
    leave(folder, replace(Owner.this_process(), began="0"))
    with hold(folder):
        assert read(folder).owner == Owner.this_process()


def test_a_process_of_another_machine_is_followed_once_its_heart_stands_still(
    folder, elsewhere, quick, caplog
):
    leave(folder, elsewhere)
    with caplog.at_level(logging.WARNING), hold(folder):
        assert read(folder).owner == Owner.this_process()
    assert "on elsewhere" in caplog.text
    assert files(folder) == set()


def test_a_heartbeat_of_another_machine_refuses_whatever_its_clock_says(
    folder, elsewhere, quick, monkeypatch
):
    """It may be hours late, or early."""
    monkeypatch.setattr(Owner, "is_gone", lambda self: None)
    with hold(folder):
        first = leave(folder, elsewhere, token=read(folder).token)
        with pytest.raises(FolderInUse, match="elsewhere"), hold(folder):
            pytest.fail("two writers")
        assert read(folder).token == first.token


def test_one_of_another_machine_that_ends_meanwhile_lets_the_next_one_go_on(
    folder, elsewhere, quick, monkeypatch
):
    leave(folder, elsewhere)
    look = leases.Lease._read
    seen = []

    def read_and_end(self, path):
        found = look(self, path)
        if path.endswith(LEASE_NAME) and found is not None and found.owner == elsewhere:
            seen.append(1)
            if len(seen) == 2:
                self._filesystem.rm_file(path)
        return found

    monkeypatch.setattr(leases.Lease, "_read", read_and_end)
    with hold(folder):
        assert read(folder).owner == Owner.this_process()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", *(replaced(of, by) for of in ('"token": "', '"process": ') for by in ("../", "-"))],
)
def test_a_lease_that_cannot_be_read_is_waited_for(folder, quick, content):
    leave(folder, Owner.this_process())
    filesystem, path = fsspec.core.url_to_fs(folder)
    filesystem.pipe_file(f"{path}/{LEASE_NAME}", content)
    with hold(folder):
        assert read(folder).owner == Owner.this_process()


def test_another_process_of_the_same_launch_goes_on_at_once(folder, elsewhere):
    """The first rank, on another host, is lost, and another rank becomes the first."""
    leave(folder, elsewhere, run="launch")
    with hold(folder, run="launch"):
        assert read(folder).owner == Owner.this_process()


@pytest.fixture
def restored_sigint():
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_who_was_thought_gone_stops_when_it_wakes(folder, elsewhere, quick, restored_sigint, ctrl_c):
    signal.signal(signal.SIGINT, ctrl_c)
    with pytest.raises(FolderInUse, match="elsewhere"), hold(folder):
        other = leave(folder, elsewhere)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.01)
        pytest.fail("went on")
    assert read(folder) == other


def test_a_lease_that_was_removed_comes_back(folder, quick):
    with hold(folder):
        filesystem, path = fsspec.core.url_to_fs(folder)
        filesystem.rm_file(f"{path}/{LEASE_NAME}")
        deadline = time.monotonic() + 60
        while not filesystem.exists(f"{path}/{LEASE_NAME}"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert files(folder) == set()


def test_one_file_among_others(tmp_path):
    one, other = str(tmp_path / "one.html"), str(tmp_path / "other.html")
    with ExitStack() as held:
        for lease in (hold_file(one), hold_file(other), hold(str(tmp_path))):
            held.enter_context(lease)
        with pytest.raises(FolderInUse) as refused, hold_file(one):
            pytest.fail("two writers")
    assert one in str(refused.value)
    assert os.listdir(tmp_path) == []


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for name in ("file", "file/below"):
        with pytest.raises(ContractError, match="is a file"), hold(str(tmp_path / name)):
            pytest.fail("a file became a folder")
    assert (tmp_path / "file").read_text() == "mine"


def test_what_the_store_says_of_a_lease_that_it_cannot_write(folder, monkeypatch):
    def fails(self, *arguments, **options):
        raise PermissionError("read only")

    monkeypatch.setattr(leases.Lease, "_create", fails)
    with pytest.raises(PermissionError), hold(folder):
        pytest.fail("without a lease")


_HOLDS = """
import signal, sys, time
from schemas.lease import hold
signal.signal(signal.SIGINT, signal.default_int_handler)  # test processes ignore it, and so would this one
with hold(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("sent", "ends_as"),
    [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_the_lease_goes_with_its_process(tmp_path, project_root, sent, ends_as):
    folder = str(tmp_path / "output")
    environment = os.environ | {"PYTHONPATH": project_root}
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, folder],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(FolderInUse, match=f"process {process.pid} on"), hold(folder):
        pytest.fail("two writers")
    process.send_signal(sent)
    assert process.wait(60) == ends_as
    process.stdout.close()
    assert os.path.exists(folder) == (sent == signal.SIGKILL)
    with hold(folder):
        assert json.loads((tmp_path / "output" / LEASE_NAME).read_text())["owner"]["process"] == os.getpid()
