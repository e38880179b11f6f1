"""Mended wheels are kept under a key of all that they depend on, and appear whole or not at all."""

import dataclasses
import os
import sys

import pytest


@pytest.fixture
def wheels(toolchain, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("HOROVOD_")]:
        monkeypatch.delenv(name)
    return toolchain("wheels")


@pytest.fixture
def build(wheels, tmp_path):
    return wheels.Build(sys.executable, str(tmp_path / "log"))


def test_the_key_of_horovod_depends_on_the_frameworks_and_on_cuda(wheels, build, monkeypatch):
    before = wheels.wheel_key(wheels.HOROVOD, build)
    assert wheels.wheel_key(wheels.HOROVOD, build) == before
    assert wheels.wheel_key(wheels.HOROVOD, dataclasses.replace(build, gpu=True)) != before
    monkeypatch.setattr(wheels, "installed_version", lambda python, name: "0")
    assert wheels.wheel_key(wheels.HOROVOD, build) != before


def test_the_key_of_petastorm_does_not(wheels, build, monkeypatch):
    before = wheels.wheel_key(wheels.PETASTORM, build)
    monkeypatch.setattr(wheels, "installed_version", lambda python, name: "0")
    assert wheels.wheel_key(wheels.PETASTORM, dataclasses.replace(build, gpu=True)) == before


def test_a_changed_patch_changes_the_key(wheels, build, tmp_path, monkeypatch):
    before = wheels.wheel_key(wheels.PETASTORM, build)
    changed = tmp_path / "changed.patch"
    changed.write_text("changed")
    monkeypatch.setattr(wheels.Package, "patch", property(lambda package: str(changed)))
    assert wheels.wheel_key(wheels.PETASTORM, build) != before


def test_a_wheel_in_the_cache_is_taken(wheels, build, capsys):
    folder = os.path.join(wheels.cache_folder(), wheels.wheel_key(wheels.PETASTORM, build))
    os.makedirs(folder)
    wheel = os.path.join(folder, "petastorm-0.13.1-py2.py3-none-any.whl")
    open(wheel, "w").close()
    assert wheels.ensure_wheel(wheels.PETASTORM, build) == wheel
    assert folder in capsys.readouterr().out


def test_a_build_that_fails_leaves_nothing_in_the_cache(wheels, build, monkeypatch):
    def fail(build, title, *arguments, **kwargs):
        raise wheels.StepFailed("no network")

    monkeypatch.setattr(wheels.Build, "pip", fail)
    with pytest.raises(wheels.StepFailed, match="no network"):
        wheels.ensure_wheel(wheels.PETASTORM, build)
    assert os.listdir(wheels.cache_folder()) == []


def test_another_file_than_the_published_one_is_refused(wheels, tmp_path):
    archive = tmp_path / "petastorm.whl"
    archive.write_bytes(b"something else")
    with pytest.raises(wheels.StepFailed, match="sha256"):
        wheels._check_sha256(wheels.PETASTORM, str(archive))


def test_nccl_is_asked_for_with_a_gpu_only(wheels, build, monkeypatch):
    assert "HOROVOD_GPU_OPERATIONS" not in wheels.horovod_options(build)
    monkeypatch.setenv("HOROVOD_GPU", "1")  # as make passes it on
    monkeypatch.setenv("HOROVOD_BUILD_CUDA_CC_LIST", "90")
    options = wheels.horovod_options(dataclasses.replace(build, gpu=True))
    assert options["HOROVOD_GPU"] == "CUDA"
    assert options["HOROVOD_GPU_OPERATIONS"] == "NCCL"
    assert options["HOROVOD_BUILD_CUDA_CC_LIST"] == "90"
