"""doctor.py names what is missing, why it is needed and how to get it."""

import os
import subprocess
import sys

import pytest

JAVA_17 = 'openjdk version "17.0.15" 2025-04-15'
JAVA_8 = 'java version "1.8.0_392"'


@pytest.fixture
def machine(tmp_path, project_root):
    """A PATH made of stand-ins; `run(**programs)` gives doctor's exit status and output on such a machine."""

    def run(*arguments: str, without: tuple[str, ...] = (), **programs: str):
        present = {
            "java": JAVA_17,
            "g++": "g++ (Debian 12.2.0-14) 12.2.0",
            "make": "",
            "patch": "",
        } | programs
        for name, output in present.items():
            if name not in without:
                program = tmp_path / name
                program.write_text(f"#!/bin/sh\necho '{output}' >&2\n")
                program.chmod(0o755)
        environment = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        done = subprocess.run(
            [sys.executable, os.path.join(project_root, "toolchain", "doctor.py"), *arguments],
            env=environment | {"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    return run


def test_a_complete_machine_passes(machine):
    status, output = machine()
    assert status == 0, output
    assert "MISSING" not in output
    assert "Java 17 (" in output


@pytest.mark.parametrize(
    ("program", "name", "remedy"),
    [
        ("java", "Java 17+", "apt install openjdk-17-jre-headless"),
        ("g++", "C++ compiler", "apt install g++"),
        ("make", "make", "apt install make"),
        ("patch", "patch", "dnf install patch"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(machine, program, name, remedy):
    status, output = machine(without=(program,))
    assert status == 1
    (line,) = [line for line in output.splitlines() if "MISSING" in line]
    assert line.split("MISSING")[1].strip().startswith(name + ":")
    assert remedy in line


def test_an_old_java_is_refused_with_its_version(machine):
    status, output = machine(java=JAVA_8)
    assert status == 1
    assert "is Java 8" in output and "JAVA_HOME" in output


def test_an_old_compiler_is_refused_with_its_version(machine):
    status, output = machine(**{"g++": "g++ (Ubuntu 7.5.0-3ubuntu1) 7.5.0"})
    assert status == 1
    assert "is version 7, not 9+" in output


def test_a_cuda_compiler_is_asked_for_only_with_a_gpu(machine):
    assert machine()[0] == 0
    status, output = machine("--gpu")
    assert status == 1
    assert "nvcc" in output


def test_quiet_says_only_what_is_missing(machine):
    assert machine("--quiet") == (0, "")
