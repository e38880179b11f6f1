"""Modules in a zip are imported as compiled, without a change of what they do."""

import os
import subprocess
import sys
import zipfile

import pyspark
import pytest


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("some/__init__.py", "from some.part import there\n")
        made.writestr("some/part.py", "def there():\n    raise KeyError('x')\n")
        made.writestr("some/tests/test_part.py", "1 is 1\n")
        made.writestr("some/data.json", "{}")
    return str(path)


def names(path):
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def run(path, code):
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_modules_are_imported_as_compiled(toolchain, package):
    before = names(package)
    toolchain("compiled_zip").compile_modules(package)
    assert names(package) - before == {"some/__init__.pyc", "some/part.pyc"}
    assert os.listdir(os.path.dirname(package)) == ["some.zip"]
    done = run(package, "import some.part; print(some.part.__file__)")
    assert done.stdout.strip() == os.path.join(package, "some", "part.pyc"), done.stderr
    failed = run(package, "import some; some.there()")
    assert os.path.join(package, "some", "part.py") in failed.stderr, "traces name the source"


def test_a_second_time_nothing_changes(toolchain, package):
    compiled_zip = toolchain("compiled_zip")
    compiled_zip.compile_modules(package)
    before = os.stat(package)
    compiled_zip.compile_modules(package)
    assert os.stat(package).st_mtime_ns == before.st_mtime_ns


def test_pysparks_own_has_been_compiled():
    archive = os.path.join(os.path.dirname(pyspark.__file__), "python", "lib", "pyspark.zip")
    assert "pyspark/worker.pyc" in names(archive)
