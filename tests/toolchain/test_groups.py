"""Which locks the groups of packages need."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def groups(toolchain):
    return toolchain("groups")


def test_groups_are_ordered_and_named_once(groups):
    assert groups.in_order(["dev", "spark", "dev"]) == ("spark", "dev")
    assert groups.in_order(["serve"]) == ("torch", "serve"), "its export runs in torch"
    with pytest.raises(
        ValueError, match=r"GROUPS names gpu, pytorch, which is no group\. The groups are spark,"
    ):
        groups.in_order(["spark", "pytorch", "gpu"])


def test_every_group_has_a_lock_and_its_inclusions_come_first(groups, toolchain):
    lock = toolchain("lock")
    for group in groups.GROUPS:
        files = groups.lock_files([group])
        assert files[0] == groups.BOOTSTRAP and files[-1] == group
        for at, name in enumerate(files):
            assert set(lock.includes(name)) <= set(files[: at + 1])


def test_a_gpu_changes_tensorflow_alone(groups):
    assert groups.lock_files(["spark", "torch"], gpu=True) == groups.lock_files(["spark", "torch"])
    with_gpu = groups.lock_files(["tensorflow"], gpu=True)
    assert with_gpu[-1] == "tensorflow-gpu" and "tensorflow" not in with_gpu
    assert "tensorflow-cpu" not in groups.pinned(with_gpu)


@pytest.mark.parametrize(
    ("group", "has", "lacks"),
    [
        ("spark", {"pyspark", "numpy", "matplotlib"}, {"torch", "tensorflow-cpu", "cmake", "pytest", "s3fs"}),
        ("torch", {"torch", "transformers", "cmake", "s3fs"}, {"pyspark", "tensorflow-cpu", "keras", "onnx"}),
        ("tensorflow", {"tensorflow-cpu", "keras", "cmake"}, {"torch", "pyspark", "nvidia-cudnn-cu12"}),
        ("s3", {"s3fs", "numpy"}, {"torch", "pyspark"}),
        ("serve", {"onnx", "onnxruntime", "torch"}, {"pyspark", "tensorflow-cpu"}),
        ("dev", {"pytest", "ruff"}, {"torch", "pyspark", "tensorflow-cpu"}),
    ],
)
def test_a_group_has_what_it_needs_and_no_other_group_s_weight(groups, group, has, lacks):
    names = groups.pinned(groups.lock_files([group])).keys()
    assert has <= names and not lacks & names


def test_a_torch_from_elsewhere_brings_cuda_itself(groups):
    files = groups.lock_files(["torch", "tensorflow"], gpu=True)
    left_out = groups.pinned(files).keys() - groups.pinned(files, own_torch=True).keys()
    assert left_out == groups.torch_build() and {"torch", "triton", "nvidia-cublas"} < left_out
    assert not [name for name in left_out if name.endswith("-cu12")], "those are TensorFlow's"


def test_requirements_keep_their_hashes(groups):
    for line in groups.requirements(groups.lock_files(groups.GROUPS)).splitlines():
        assert re.match(r"([\w.-]+==\S+( ;.*)? \\$)|    --hash=sha256:[0-9a-f]{64}( \\)?$", line), line


def test_the_makefile_and_the_doctor_know_the_same_groups(groups, project_root):
    names = ", ".join(groups.GROUPS)
    assert (
        f"groups of packages: {names} (default {','.join(groups.DEFAULT)}"
        in Path(project_root, "Makefile").read_text()
    )
    assert f"--groups {','.join(groups.GROUPS)}]" in Path(project_root, "toolchain/doctor.sh").read_text()
