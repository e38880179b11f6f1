"""Resolve requirements/*.in into requirements/*.lock: `make lock`, after a change of an .in file.

uv resolves all groups together, once for every supported Python and system (its universal mode): the lowest
Python is resolved for, and what only some systems need gets a marker. Versions that are locked stay;
`make lock UPGRADE=all` takes the newest, `UPGRADE=numpy` one package's newest.

Each .in file has its own lock, which names what the locks that it includes do not have. A lock is a plain
requirements file with hashes: `pip install --require-hashes -r requirements/spark.lock` reads it too.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable

from package_index import pip_settings, uv_environment

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REQUIREMENTS = os.path.join(ROOT, "requirements")
LOWEST_PYTHON = "3.11.0"
# Resolved together: one version of a package in all groups. The GPU's TensorFlow replaces the CPU's.
TOGETHER = ("bootstrap", "executors", "spark", "torch", "tensorflow", "serve", "dev")
# A file stands after those that it includes.
FILES = (
    "bootstrap",
    "base",
    "s3",
    "executors",
    "common",
    "spark",
    "trainer",
    "pytorch",
    "torch",
    "tensorflow",
    "tensorflow-gpu",
    "serve",
    "dev",
)
HEADER = "# Written by `make lock` from {name}.in: change that. Read by `make setup`.\n"
_INCLUDE = re.compile(r"^-r (\S+)\.(?:in|lock)$", re.MULTILINE)
_BLOCK = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)[^\n]*(?:\n    --hash=[^\n]*)*", re.MULTILINE)


def path_of(name: str, ending: str, folder: str = REQUIREMENTS) -> str:
    return os.path.join(folder, f"{name}.{ending}")


def read(path: str) -> str:
    """The text of a file; empty where there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def includes(name: str, ending: str = "lock", folder: str = REQUIREMENTS) -> list[str]:
    """The files that a file includes, those that they include before them, itself last."""
    inner = _INCLUDE.findall(read(path_of(name, ending, folder)))
    return list(dict.fromkeys([file for each in inner for file in includes(each, ending, folder)] + [name]))


def blocks(text: str) -> list[str]:
    """The requirements of a lock, each with its hashes."""
    return [match.group() for match in _BLOCK.finditer(text)]


def pins(text: str) -> dict[str, str]:
    """Name → version of what a lock names itself."""
    return {match.group(1): match.group(2) for match in _BLOCK.finditer(text)}


def compile_lock(names: Iterable[str], uv: str, output: str, *options: str) -> str:
    """What uv resolves the .in files to, as text. `output`: holds the versions to keep, and the result."""
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", LOWEST_PYTHON]
    command += ["--fork-strategy", "fewest", "--generate-hashes", "--no-annotate", "--no-header"]
    command += [*options, "--output-file", output, *(path_of(name, "in") for name in names)]
    # A folder of wheels (find-links) may have builds of its own, which are not for a lock.
    settings = pip_settings(sys.executable) | {"find-links": ""}
    environment = os.environ | uv_environment(settings, os.environ)
    environment.pop("UV_FIND_LINKS", None)
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return read(output)


def resolve(uv: str, upgrade: str | None) -> dict[str, str]:
    """File → the text of its lock. Raises CalledProcessError where there is no set of versions that fits."""
    options = []
    if upgrade:
        options = ["--upgrade"] if upgrade == "all" else ["--upgrade-package", upgrade]
    with tempfile.TemporaryDirectory() as folder:
        everything = os.path.join(folder, "everything.txt")
        drafts = {name: os.path.join(folder, f"{name}.txt") for name in FILES}
        for name, path in drafts.items():
            _write_locked(path, includes(name))
        _write_locked(everything, TOGETHER)
        compile_lock(TOGETHER, uv, everything, *options)
        options += ["--constraint", everything]
        full = {name: blocks(compile_lock([name], uv, path, *options)) for name, path in drafts.items()}
    return {name: _own_part(name, full) for name in FILES}


def _write_locked(path: str, names: Iterable[str]) -> None:
    """What these locks and those that they include say now, which uv keeps."""
    files = dict.fromkeys(file for name in names for file in includes(name))
    lines = dict.fromkeys(block for name in files for block in blocks(read(path_of(name, "lock"))))
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(block + "\n" for block in lines)


def _own_part(name: str, full: dict[str, list[str]]) -> str:
    """The lock of a file: what it includes, by name, and the requirements that only it has."""
    included = includes(name, "in")[:-1]
    there = {block for each in included for block in full[each]}
    direct = _INCLUDE.findall(read(path_of(name, "in")))
    lines = [f"-r {each}.lock" for each in direct] + [block for block in full[name] if block not in there]
    return HEADER.format(name=name) + "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", help="a package to bring to its newest version; all: every package")
    arguments = parser.parse_args()
    uv = os.path.join(os.path.dirname(sys.executable), "uv")
    try:
        locks = resolve(uv, arguments.upgrade)
    except subprocess.CalledProcessError as error:
        return error.returncode
    for name, text in locks.items():
        with open(path_of(name, "lock"), "w", encoding="utf-8") as file:
            file.write(text)
    print(f"{sum(len(pins(text)) for text in locks.values())} packages locked in {len(locks)} files.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
