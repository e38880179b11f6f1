"""Fixtures for every test."""

import functools
import importlib.util
import os
import subprocess
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MOST_WORKERS = 4
BYTES_A_WORKER = 4 * 2**30  # a Spark driver with its Python workers, or two ranks of a trainer
# Else TensorBoard imports TensorFlow, which crashes in one process with triton (of torch for GPUs).
sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
# Spark's processes are short here: Java's second compiler takes more of the processor than it gives back.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")
# Hundreds of processes import TensorFlow or torch. Without files of bytecode each compiles all their modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts: as many as this machine's cores and memory carry."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, memory // BYTES_A_WORKER, MOST_WORKERS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Horovod where set-up left it out."""
    if importlib.util.find_spec("horovod") is None:
        skip = pytest.mark.skip(reason="Horovod is not installed: make setup HOROVOD=1")
        for item in items:
            if "horovod" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def project_root() -> str:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> str:
    """The folder of reference data beside the project: ../shared. Skips where it is absent."""
    folder = os.path.join(os.path.dirname(ROOT), "shared")
    if not os.path.isdir(folder):
        pytest.skip(f"the reference data are not there: {folder}")
    return folder


@pytest.fixture
def kill_writes(monkeypatch) -> Callable[[str], None]:
    """kill_writes(name): from then on, who writes a file of such a name is killed in the middle of it."""
    write = LocalFileSystem.pipe_file

    def kill(name: str) -> None:
        def half(self, path, value, **options):
            if name not in os.path.basename(path):
                return write(self, path, value, **options)
            write(self, path, value[: len(value) // 2])
            raise KeyboardInterrupt

        monkeypatch.setattr(LocalFileSystem, "pipe_file", half)

    return kill


@pytest.fixture(scope="session")
def package(project_root: str, tmp_path_factory) -> str:
    """The zip that `make package` makes."""
    target = str(tmp_path_factory.mktemp("package") / "medbert_lake.zip")
    subprocess.run([sys.executable, f"{project_root}/toolchain/package.py", target], check=True)
    return target


@pytest.fixture(scope="session")
def run_backend(project_root: str, tmp_path_factory) -> Callable[..., list[dict[str, np.ndarray]]]:
    """run_backend(backend, command, *arguments, ranks=1, threads=1): one of tests/trainer/*_commands.py.

    Run once in a process of its own, or in several under horovodrun. Result: what each rank left behind.
    """

    @functools.cache
    def run(
        backend: str, command: str, *arguments: str, ranks: int = 1, threads: int = 1
    ) -> list[dict[str, np.ndarray]]:
        output = str(tmp_path_factory.mktemp(f"{backend}_{command}"))
        script = f"{project_root}/tests/trainer/backend_process.py"
        process = [sys.executable, script, backend, command, output]
        if ranks > 1:
            horovodrun = os.path.join(os.path.dirname(sys.executable), "horovodrun")
            process = [horovodrun, "-np", str(ranks), "--gloo", *process]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": str(threads)}
        search_path = os.pathsep.join(filter(None, [project_root, os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [*process, *arguments],
            env=os.environ | {"PYTHONPATH": search_path} | quiet,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{' '.join(process)}\n{done.stdout}\n{done.stderr}"
        return [dict(np.load(f"{output}/{rank}.npz")) for rank in range(ranks)]

    return run
