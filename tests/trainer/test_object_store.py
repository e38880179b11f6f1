"""Shards on, and checkpoints to, a store that speaks S3: as on a disk, also when it fails now and then."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from schemas.checkpoint import latest_checkpoint, list_checkpoints, open_checkpoint
from schemas.errors import ContractError
from schemas.lease import LEASE_NAME, FolderInUse, Holder, hold
from schemas.manifest import join
from schemas.owner import Owner
from tests.trainer.conftest import DataSet
from tests.trainer.object_store import BUCKET, ObjectStore, never, upload
from tests.trainer.processes import finish, losses, start, wait_for
from tests.trainer.runs import read_log, run_ranks
from tests.trainer.shard_files import random_patients, write_split
from trainer.core import growing_file, storage
from trainer.core.commits import Commits
from trainer.core.run_log import RunLog
from trainer.core.together import OtherRankFailed, RankLost
from trainer.core.writing import CannotWrite
from trainer.readers import FILE_FORMATS, open_reader

ROOT = f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def store():
    """The store; the environment says where it is, here and in the processes that a test starts."""
    settings = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    served = ObjectStore()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (settings | {"AWS_ENDPOINT_URL": served.address}).items():
            patch.setenv(name, value)
        filesystem = fsspec.filesystem("s3")
        filesystem.mkdir(BUCKET)
        yield served
        filesystem.clear_instance_cache()
    served.close()


@pytest.fixture(autouse=True)
def quick_tries(store, monkeypatch):
    """The driver does not try again by itself, and we soon do."""
    monkeypatch.setattr(storage, "WAITS", (0.01,) * len(storage.WAITS))
    monkeypatch.setattr(type(fsspec.filesystem("s3")), "retries", 1)
    store.failures.clear()
    yield
    store.fails = never


@pytest.fixture(scope="module")
def remote_data(store, data_set):
    """The data set, in the store."""
    shards = upload(data_set.shards, f"{ROOT}/shards")
    return DataSet(shards, upload(data_set.vocabulary, f"{ROOT}/vocabulary"), data_set.fingerprint)


@pytest.fixture
def remote_config(make_config, remote_data, tmp_path):
    """A short run from the store to the store."""
    return make_config(
        shards=remote_data.shards,
        vocabulary=remote_data.vocabulary,
        output=f"{ROOT}/{tmp_path.name}",
        keep_checkpoints=2,
        keep_best=0,
    )


def metrics(config):
    return [(line["step"], line["mlm_loss"]) for line in read_log(config, "train")]


@pytest.mark.parametrize("reader", sorted(FILE_FORMATS))
def test_rows_are_those_on_the_disk(data_set, remote_data, reader):
    here = open_reader(reader, join(data_set.shards, "train"))
    there = open_reader(reader, join(remote_data.shards, "train"))
    for number in range(len(here.shard_rows)):
        expected, found = here.read(number), there.read(number)
        for name in vars(expected):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_many_shards_take_one_listing(store, tmp_path):
    patients = random_patients(30)
    write_split(str(tmp_path / "train"), [[patient] for patient in patients], vocabulary_fingerprint="f" * 64)
    uri = upload(str(tmp_path / "train"), f"{ROOT}/many")
    asked = []
    store.fails = lambda *request: asked.append(request)
    assert open_reader("arrow", uri).shard_rows == [1] * 30
    assert 0 < len(asked) < 10


def test_a_killed_run_goes_on_from_the_store(data_set, remote_data, tmp_path):
    there, here = f"{ROOT}/killed", str(tmp_path / "undisturbed")
    options = {"steps": 28, "keep_checkpoints": 2, "keep_best": 0}
    process = start(remote_data, there, "torch", 1, **options)
    wait_for(process, lambda: len(list_checkpoints(there)) == 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list_checkpoints(there)[-1][0] < 28
    finish(start(remote_data, there, "torch", 1, **options))
    finish(start(data_set, here, "torch", 1, **options))
    assert losses(there) == losses(here) and len(losses(here)) == 28
    assert losses(there, "eval") == losses(here, "eval")
    assert [step for step, _ in list_checkpoints(there)] == [21, 28]
    for _, uri in list_checkpoints(there):
        open_checkpoint(uri, verify=True)


def test_of_two_in_one_folder_the_store_lets_one_begin(store, tmp_path):
    """By a put that the store itself refuses where there is an object."""
    folder = f"{ROOT}/{tmp_path.name}"
    filesystem, path = fsspec.core.url_to_fs(folder)
    filesystem.pipe_file(f"{path}/object", b"first", mode="create")
    with pytest.raises(FileExistsError):
        filesystem.pipe_file(f"{path}/object", b"second", mode="create")
    with hold(folder):
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on"), hold(folder):
            pytest.fail("two writers")
        content = filesystem.cat_file(f"{path}/{LEASE_NAME}")
    assert not filesystem.exists(f"{path}/{LEASE_NAME}")
    gone = replace(Holder.from_bytes(content), owner=replace(Owner.this_process(), began="another"))
    filesystem.pipe_file(f"{path}/{LEASE_NAME}", gone.to_bytes())
    with hold(folder):
        assert Holder.from_bytes(filesystem.cat_file(f"{path}/{LEASE_NAME}")).owner == Owner.this_process()
    filesystem.invalidate_cache()
    assert filesystem.find(path) == [f"{path}/object"]


def test_tensorboard_and_the_log_are_whole(remote_config, monkeypatch, tmp_path):
    uploads = []
    sync = growing_file.GrowingFile.sync
    monkeypatch.setattr(growing_file.GrowingFile, "sync", lambda self: (uploads.append(self), sync(self))[1])
    run_ranks(remote_config)
    assert len(uploads) < 30  # there are as many lines of training alone, and as many events
    assert [step for step, _ in metrics(remote_config)] == list(range(1, 31))
    folder = str(tmp_path / "tensorboard")
    filesystem, path = fsspec.core.url_to_fs(join(remote_config.output, "tensorboard"))
    filesystem.get(path, folder, recursive=True)
    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("train/mlm_loss")] == list(range(1, 31))


def test_a_store_that_fails_now_and_then_changes_nothing(make_config, remote_config, store):
    count = 0

    def now_and_then(method, path):
        nonlocal count
        count += 1
        return count % 40 == 0 or 100 <= count < 103

    undisturbed = make_config(keep_checkpoints=2, keep_best=0)
    run_ranks(undisturbed, 2)
    store.fails = now_and_then
    run_ranks(remote_config, 2)
    store.fails = never
    assert len(store.failures) > 5
    assert metrics(remote_config) == metrics(undisturbed)
    assert [step for step, _ in list_checkpoints(remote_config.output)] == [20, 30]


@pytest.mark.parametrize("reader", sorted(FILE_FORMATS))
def test_a_shard_out_of_reach_is_named_on_every_rank(make_config, remote_data, tmp_path, store, reader):
    config = make_config(shards=remote_data.shards, reader=reader, output=str(tmp_path / "run"))
    name = f"part-00001.{FILE_FORMATS[reader]}"
    store.fails = lambda method, path: method == "GET" and path.endswith(f"train/{name}")
    with pytest.raises(storage.CannotRead, match=f"shards/train/{name} cannot be read: .*tries") as refused:
        run_ranks(config, 2)
    assert "Remedy: see that it is there and the store answers" in str(refused.value)
    assert {type(error) for error in run_ranks.errors.values()} <= {storage.CannotRead, OtherRankFailed}
    assert len(store.failures) >= len(storage.WAITS) + 1


def test_a_shard_that_is_gone_or_forbidden_is_not_asked_for_again(remote_data, monkeypatch):
    reader = open_reader("arrow", join(remote_data.shards, "train"))
    asked = []

    def cat_file(path):
        asked.append(path)
        raise PermissionError("Forbidden")

    monkeypatch.setattr(fsspec.filesystem("s3"), "cat_file", cat_file)
    with pytest.raises(
        ContractError, match=r"part-00000\.parquet cannot be read: PermissionError: Forbidden"
    ):
        reader.read(0)
    assert len(asked) == 1


def test_content_that_is_cut_off_is_fetched_again(remote_data, monkeypatch):
    reader = open_reader("tfrecord", join(remote_data.shards, "train"))
    filesystem = fsspec.filesystem("s3")
    cat_file = filesystem.cat_file
    asked = []

    def cut_off(path):
        asked.append(path)
        return cat_file(path)[: None if len(asked) == 3 else 100]

    monkeypatch.setattr(filesystem, "cat_file", cut_off)
    assert reader.read(0).num_patients == reader.shard_rows[0]
    assert len(asked) == 3


def test_a_store_that_takes_no_checkpoint_keeps_the_one_before(remote_config, store):
    store.fails = lambda method, path: method == "PUT" and "step-00000020" in path
    with pytest.raises(CannotWrite, match=r"step-00000020 cannot be written: .*\(the last of 5 tries\)"):
        run_ranks(remote_config, 2)
    store.fails = never
    checkpoint = latest_checkpoint(remote_config.output)
    assert checkpoint is not None and checkpoint.step == 10
    run_ranks(remote_config, 2)
    assert [step for step, _ in metrics(remote_config)] == list(range(1, 31))


def test_a_store_that_does_not_answer_is_no_damaged_checkpoint(remote_config, store):
    run_ranks(remote_config)
    store.fails = lambda method, path: "step-00000030" in path and method in ("GET", "HEAD")
    with pytest.raises(storage.CannotRead, match="step-00000030 cannot be read"):
        run_ranks(replace(remote_config, steps=40))


def test_an_old_checkpoint_that_cannot_be_removed_is_no_failure(remote_config, store, caplog):
    store.fails = lambda method, path: method == "HEAD" and path.endswith("step-00000010/manifest.json")
    run_ranks(remote_config)
    assert "that are not to be kept stay: " in caplog.text
    assert read_log(remote_config, "train")[-1]["step"] == 30


def test_a_commit_in_memory_takes_the_log_along(make_config, monkeypatch):
    def die_at_step_11(step, backend):
        if step == 11:
            raise RankLost

    monkeypatch.setattr(RunLog, "close", lambda log: None)  # nor does a process that is killed
    config = make_config(output="memory://lost", checkpoint_every=100, eval_every=100, commit_every=4)
    with pytest.raises(RankLost):
        run_ranks(config, 1, before_step=die_at_step_11, commits=[Commits()])
    assert [step for step, _ in metrics(config)] == list(range(1, 9))


def test_a_uri_without_a_driver_is_refused(make_config):
    with pytest.raises(ContractError, match="nowhere://shards cannot be opened: Protocol not known"):
        run_ranks(make_config(shards="nowhere://shards/train", vocabulary="nowhere://shards"))


def test_any_file_system_of_fsspec_will_do(make_config, data_set):
    config = make_config(
        shards=upload(data_set.shards, "memory://shards"),
        vocabulary=upload(data_set.vocabulary, "memory://vocabulary"),
        output="memory://run",
        reader="tfrecord",
        steps=12,
    )
    run_ranks(config, 2)
    assert [step for step, _ in list_checkpoints(config.output)] == [10, 12]
    assert [step for step, _ in metrics(config)] == list(range(1, 13))
