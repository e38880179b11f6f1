"""Mended wheels are kept under a key of all that they depend on, and appear whole or not at all."""

import dataclasses
import hashlib
import os
import sys
import time

import pytest


@pytest.fixture
def wheels(toolchain, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache [1]"))
    for name in [name for name in os.environ if name.startswith("HOROVOD_")]:
        monkeypatch.delenv(name)
    return toolchain("wheels")


@pytest.fixture
def build(wheels, tmp_path):
    return wheels.Build(sys.executable, str(tmp_path / "log"), ("torch", "tensorflow"))


def test_the_key_of_horovod_depends_on_the_frameworks_and_on_cuda(wheels, build, monkeypatch):
    before = wheels.wheel_key(wheels.HOROVOD, build)
    assert wheels.wheel_key(wheels.HOROVOD, build) == before
    assert wheels.wheel_key(wheels.HOROVOD, dataclasses.replace(build, gpu=True)) != before
    assert wheels.wheel_key(wheels.HOROVOD, dataclasses.replace(build, frameworks=("torch",))) != before
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


def test_a_wheel_in_the_cache_is_taken(wheels, build):
    assert wheels.built_wheel(wheels.PETASTORM, build) is None
    folder = os.path.join(wheels.cache_folder(), wheels.wheel_key(wheels.PETASTORM, build))
    os.makedirs(folder)
    wheel = os.path.join(folder, "petastorm-0.13.1-py2.py3-none-any.whl")
    open(wheel, "w").close()
    assert wheels.ensure_wheel(wheels.PETASTORM, build) == wheel


def test_a_build_that_fails_leaves_nothing_in_the_cache(wheels, build, monkeypatch):
    def fail(build, title, *arguments, **kwargs):
        raise wheels.StepFailed("no network")

    monkeypatch.setattr(wheels.Build, "pip", fail)
    with pytest.raises(wheels.StepFailed, match="no network"):
        wheels.ensure_wheel(wheels.PETASTORM, build)
    assert os.listdir(wheels.cache_folder()) == []


@pytest.fixture
def index(wheels, monkeypatch):
    """An index with another petastorm than the published; what it was asked."""
    asked = []

    def download(build, title, *arguments, **kwargs):
        asked.append(arguments)
        folder = arguments[arguments.index("--dest") + 1]
        os.makedirs(folder)
        with open(os.path.join(folder, "petastorm-0.13.1-py3-none-any.whl"), "wb") as file:
            file.write(b"published")

    monkeypatch.setattr(wheels.Build, "pip", download)
    return asked


def test_another_file_than_the_published_one_is_refused_and_not_kept(wheels, build, index):
    with pytest.raises(wheels.StepFailed, match="Check the package index"):
        wheels.ensure_wheel(wheels.PETASTORM, build)
    assert os.listdir(wheels.cache_folder()) == []


def test_what_was_downloaded_is_not_downloaded_again(wheels, build, index, tmp_path):
    sha256 = hashlib.sha256(b"published").hexdigest()
    package = dataclasses.replace(wheels.PETASTORM, sha256=sha256)
    first = wheels._downloaded(package, build, str(tmp_path / "1"))
    assert wheels._downloaded(package, build, str(tmp_path / "2")) == first and len(index) == 1
    with open(first, "wb") as file:
        file.write(b"broken")
    assert wheels._downloaded(package, build, str(tmp_path / "3")) == first and len(index) == 2
    with open(first, "rb") as file:
        assert file.read() == b"published"


def test_folders_of_builds_that_were_killed_long_ago_go(wheels, build, index):
    for name, age in (("building-old", 2 * wheels.ABANDONED_AFTER_S), ("building-now", 0)):
        folder = os.path.join(wheels.cache_folder(), name)
        os.makedirs(folder)
        os.utime(folder, (time.time() - age,) * 2)
    with pytest.raises(wheels.StepFailed):
        wheels.ensure_wheel(wheels.PETASTORM, build)
    assert os.listdir(wheels.cache_folder()) == ["building-now"]


def test_uv_is_the_environment_s_and_gets_its_settings(wheels, tmp_path):
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "$UV_DEFAULT_INDEX" "$@"\n')
    uv.chmod(0o755)
    python, log = str(tmp_path / "python"), str(tmp_path / "log")
    build = wheels.Build(python, log, environment={"UV_DEFAULT_INDEX": "https://index"})
    build.uv("Installing", "install", "--no-deps", "x")
    with open(log) as file:
        assert file.read().splitlines()[-1] == f"https://index pip install --python {python} --no-deps x"


def test_horovod_is_built_for_the_frameworks_that_are_there(wheels, build):
    options = wheels.horovod_options(dataclasses.replace(build, frameworks=("tensorflow",)))
    assert {"HOROVOD_WITH_TENSORFLOW", "HOROVOD_WITHOUT_PYTORCH"} < options.keys()
    assert not {"HOROVOD_WITHOUT_TENSORFLOW", "HOROVOD_WITH_PYTORCH"} & options.keys()


def test_nccl_is_asked_for_with_a_gpu_only(wheels, build, monkeypatch):
    assert "HOROVOD_GPU_OPERATIONS" not in wheels.horovod_options(build)
    monkeypatch.setenv("HOROVOD_BUILD_CUDA_CC_LIST", "90")
    options = wheels.horovod_options(dataclasses.replace(build, gpu=True))
    assert options["HOROVOD_GPU"] == "CUDA"
    assert options["HOROVOD_GPU_OPERATIONS"] == "NCCL"
    assert options["HOROVOD_BUILD_CUDA_CC_LIST"] == "90"
