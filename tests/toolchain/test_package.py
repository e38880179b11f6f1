"""The zip for spark-submit: the right files, the same bytes each time."""

import importlib.util
import io
import os
import subprocess
import sys
import zipfile

import pytest


@pytest.fixture(scope="module")
def package(project_root):
    path = os.path.join(project_root, "toolchain", "package.py")
    spec = importlib.util.spec_from_file_location("toolchain_package", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path):
    for path in (
        "schemas/__init__.py",
        "command_line/__init__.py",
        "spark_jobs/__init__.py",
        "spark_jobs/data/model.yaml",
        "trainer/x.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"# {path}\n")
    (tmp_path / "schemas/__pycache__").mkdir()
    (tmp_path / "schemas/__pycache__/x.pyc").write_bytes(b"")
    return tmp_path


def test_it_holds_the_sources_and_data_files_and_nothing_else(package, sources):
    names = zipfile.ZipFile(io.BytesIO(package.zip_bytes(str(sources)))).namelist()
    assert names == [
        "command_line/__init__.py",
        "schemas/__init__.py",
        "spark_jobs/__init__.py",
        "spark_jobs/data/model.yaml",
    ]


def test_clock_and_permissions_leave_no_trace(package, sources):
    before = package.zip_bytes(str(sources))
    os.utime(sources / "schemas/__init__.py", (1, 1))
    (sources / "schemas/__init__.py").chmod(0o700)
    assert package.zip_bytes(str(sources)) == before


def test_an_unchanged_zip_is_left_untouched(package, sources):
    target = str(sources / "dist" / "lake.zip")
    assert package.write_if_changed(target, package.zip_bytes(str(sources)))
    assert not package.write_if_changed(target, package.zip_bytes(str(sources)))
    (sources / "spark_jobs/data/model.yaml").write_text("changed")
    assert package.write_if_changed(target, package.zip_bytes(str(sources)))
    assert os.listdir(sources / "dist") == ["lake.zip"]


def test_the_projects_own_packages_import_from_the_zip(package, project_root, tmp_path):
    target = str(tmp_path / "lake.zip")
    package.write_if_changed(target, package.zip_bytes(project_root))
    code = "import sys; sys.path.insert(0, sys.argv[1]); import schemas as s, command_line; print(s.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code, target], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith(target)
