"""Executors need requirements/executors.in and no more; Spark's driver what docs/executors.md lists besides.

Pythons with nothing else show it. On an executor the project comes in the zip, pyspark from Spark, and the
rest in the archive of `make executors`.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from schemas.manifest import read_manifest
from tests.spark_jobs.every_task import every_task
from tests.submitted_run import SubmittedRun

OF_SPARK_AND_OURS = {"pyspark", "py4j", "medbert-lake"}
# Python imports sitecustomize from the path as it starts.
NOTHING_ELSE = """
import sys
from importlib.machinery import PathFinder

class NothingElse(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {refused!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [NothingElse if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def listed(project_root) -> tuple[list[str], list[str]]:
    """The packages of executors, and of the driver besides."""
    executors = asked_for(Path(project_root, "requirements", "executors.in"))
    text = Path(project_root, "docs", "executors.md").read_text(encoding="utf-8")
    (driver,) = re.findall(r"The driver needs, besides the executors' packages, (.+?)\.", text)
    return executors, re.findall(r"`([^`]+)`", driver)


def asked_for(file: Path) -> list[str]:
    """The requirements of a file and of those that it includes."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    found = []
    for line in filter(None, lines):
        found += asked_for(file.parent / line.removeprefix("-r ")) if line.startswith("-r ") else [line]
    return found


def write_python(folder: str, packages: Iterable[str]) -> str:
    """A Python that can import nothing else that is installed; returns its path."""
    os.mkdir(folder)
    found, left = set(OF_SPARK_AND_OURS), [Requirement(name) for name in packages]
    while left:
        wanted = left.pop()
        found.add(canonicalize_name(wanted.name))
        for further in map(Requirement, requires(wanted.name) or ()):
            extras = ("", *wanted.extras)
            if not further.marker or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                left.append(further)
    refused = {
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & found
    }
    python = f"{folder}/python"
    with open(f"{folder}/sitecustomize.py", "w") as stream:
        stream.write(NOTHING_ELSE.format(refused=refused))
    with open(python, "w") as stream:
        stream.write(f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    os.chmod(python, 0o755)
    return python


def test_the_driver_s_list(listed, project_root, tmp_path):
    python = write_python(f"{tmp_path}/driver", [*listed[0], *listed[1]])
    names = [name for name in os.listdir(f"{project_root}/spark_jobs") if name.endswith(".py")]
    imports = "\n".join(f"import spark_jobs.{name.removesuffix('.py')}" for name in sorted(names))
    imports += "\nimport spark_jobs.generator.model_file"  # when a job asks for it

    def run(python: str) -> subprocess.CompletedProcess:
        return subprocess.run([python, "-c", imports], cwd=project_root, capture_output=True, text=True)

    done = run(python)
    assert done.returncode == 0, done.stderr[-2000:]
    refused = run(write_python(f"{tmp_path}/worker", listed[0]))
    assert "No module named" in refused.stderr  # or nothing is seen here


@pytest.mark.spark
@pytest.mark.slow
def test_workers_import_nothing_else(listed, package, project_root, tmp_path):
    settings = {
        "spark.pyspark.python": write_python(f"{tmp_path}/worker", listed[0]),
        "spark.pyspark.driver.python": sys.executable,
    }
    run = SubmittedRun(package, project_root, str(tmp_path), settings=settings)
    run.run_in_turn(every_task(tmp_path))
    assert read_manifest(f"{tmp_path}/shards/train", "shards").num_rows > 0
    assert read_manifest(f"{tmp_path}/grown/sequences", "sequences").num_rows == 30
    for source in ("medbert", "omop", "meds"):
        assert read_manifest(f"{tmp_path}/from_{source}/diagnoses", "diagnoses").num_rows == 60
