"""What an older Python, such as RHEL 8's 3.6, says when make starts it."""

import ast
import os
import re
import shutil
import subprocess
import sys

import pytest

OLD = ("python3.6", "python3.7", "python3.8", "python3.9", "python3.10")
READ_BY_ANY = ("start", "doctor")


def source_of(project_root: str, name: str) -> str:
    with open(f"{project_root}/toolchain/{name}.py", encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("name", READ_BY_ANY)
def test_any_python_3_can_read_it(project_root, name):
    tree = ast.parse(source_of(project_root, name), feature_version=(3, 6))
    modules = set()
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AnnAssign)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None, node.name
        modules |= {node.module} if isinstance(node, ast.ImportFrom) else set()
        modules |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
    assert modules <= sys.stdlib_module_names - {"__future__"} | set(READ_BY_ANY)


def test_make_starts_nothing_else_with_a_python_that_may_be_old(project_root):
    with open(f"{project_root}/Makefile", encoding="utf-8") as file:
        started = re.findall(r'"\$\(PYTHON\)" toolchain/(\w+)\.py', file.read())
    assert set(started) == set(READ_BY_ANY)


def test_an_older_python_gets_the_doctor_s_advice(project_root):
    pretend = (
        "import sys, runpy; sys.version_info = (3, 6, 15); sys.argv = ['start.py', 'install'];"
        f"sys.path.insert(0, {project_root!r} + '/toolchain');"
        f"runpy.run_path({project_root!r} + '/toolchain/start.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True)
    assert done.returncode == 1
    assert "MISSING  Python 3.11" in done.stdout and "make setup PYTHON=python3.11" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("python", OLD)
def test_so_does_a_real_one(project_root, python):
    if not shutil.which(python) or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"there is no {python} here")
    for script in ("install", "package"):
        command = [python, f"{project_root}/toolchain/start.py", script, os.devnull]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and "MISSING  Python 3.11" in done.stdout, done.stderr


def test_a_python_of_the_right_version_runs_the_script(project_root, tmp_path):
    target = tmp_path / "x.zip"
    command = [sys.executable, f"{project_root}/toolchain/start.py", "package", str(target)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert target.exists()
