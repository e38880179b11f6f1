"""run.sh starts the project's Python; where there is none that is supported, the doctor says what to do."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

OLD = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")
STUB_DOCTOR = """\
echo "doctor $*"
case $* in *--print-python*) echo "$DOCTOR_S_PYTHON"; [ -n "$DOCTOR_S_PYTHON" ] ;; *) exit 1 ;; esac
"""


def old_pythons() -> list[str]:
    """What there is of each old version: on PATH, or where pyenv keeps it."""
    found = []
    for version in OLD:
        pattern = f".pyenv/versions/{version}.*/bin/python"
        names = [shutil.which(f"python{version}"), *map(str, Path.home().glob(pattern))]
        found += [name for name in names if name and not subprocess.run([name, "-c", ""]).returncode][:1]
    return found


@pytest.fixture
def folder(project_root, tmp_path):
    """run.sh beside a script that prints what it was started with, and a doctor that prints its options."""
    folder = tmp_path / "tool chain"
    folder.mkdir()
    shutil.copy(f"{project_root}/toolchain/run.sh", folder)
    doctor = Path(project_root, "toolchain", "doctor.sh").read_text(encoding="utf-8")
    (supported,) = re.findall(r"^PYTHONS=.*\n", doctor, re.MULTILINE)
    (folder / "doctor.sh").write_text(
        supported + STUB_DOCTOR.replace('echo "doctor $*"\n', 'echo "doctor $*" >&2\n')
    )
    for name in ("install", "package"):
        (folder / f"{name}.py").write_text("import sys; print(sys.executable, sys.argv[1:])")
    return folder


def run(folder: Path, *arguments: str, doctor: str = "") -> tuple[int, str, str]:
    """Exit status, output, and what the doctor was asked last."""
    done = subprocess.run(
        ["sh", str(folder / "run.sh"), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"DOCTOR_S_PYTHON": doctor},
    )
    asked = [line for line in done.stderr.splitlines() if line.startswith("doctor ")]
    return done.returncode, done.stdout, (asked or [""])[-1]


def test_a_supported_python_runs_the_script_with_its_options(folder):
    status, output, asked = run(folder, sys.executable, "install", "--need", "", "--groups", "spark torch")
    assert (status, asked) == (0, "")
    assert output == f"{sys.executable} {['--need', '', '--groups', 'spark torch']}\n"


def test_without_a_python_the_doctor_chooses(folder):
    status, output, asked = run(folder, "", "package", "x.zip", doctor=sys.executable)
    assert (status, output, asked) == (0, f"{sys.executable} ['x.zip']\n", "doctor --print-python")


def stub(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("script", ["exit 1", "exit 127", "kill -9 $$"])
def test_a_python_that_is_not_supported_gets_the_doctor_s_advice(folder, tmp_path, script):
    python = stub(tmp_path / "python", script)
    status, output, asked = run(folder, python, "package", "--groups", "x.zip")
    assert (status, output, asked) == (1, "", f"doctor --quiet --python {python}")


def test_the_doctor_hears_what_is_to_be_set_up(folder):
    options = ("--verbose", "--groups", "spark", "--need", "spark", "--add", "--horovod", "0", "--gpu", "1")
    assert run(folder, "no-such-python", "install", *options)[2] == (
        "doctor --quiet --python no-such-python --groups spark --horovod 0 --gpu"
    )
    assert run(folder, "", "install", "--need", "spark", "--gpu", "0")[2] == "doctor --quiet"


@pytest.mark.parametrize(
    "python", old_pythons() or [pytest.param("", marks=pytest.mark.skip("no old Python"))]
)
def test_a_real_old_python_gets_it_too(project_root, python):
    for script in ("install", "package"):
        command = ["sh", f"{project_root}/toolchain/run.sh", python, script, os.devnull]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr == ""
        assert re.search(r"MISSING  Python 3\.11.*", done.stdout).group().count(python), done.stdout


def test_make_starts_scripts_only_by_it_or_with_the_environment_s_python(project_root):
    makefile = Path(project_root, "Makefile").read_text(encoding="utf-8")
    starts = re.findall(r"([^\s@]+) toolchain/(\w+\.(?:py|sh))", makefile)
    assert ("sh", "run.sh") in starts
    assert {start for start, script in starts if script.endswith(".py")} == {'"$(BIN)/python"'}
    assert {script for start, script in starts if start == "sh"} == {"run.sh", "doctor.sh"}
