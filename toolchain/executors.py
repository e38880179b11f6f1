"""Pack what Spark's executors need into one archive for `spark-submit --archives`: `make executors`.

The archive has the packages of requirements/executors.lock, and bin/python, a script that runs the host's own
Python with them (executor_python.sh). Spark brings pyspark. Every host needs the Python series that the
archive's name says, on PATH, in /usr/bin or in /usr/local/bin; bin/python says so where it is missing. The
wheels are those for Linux with glibc 2.28 or newer, whatever machine packs them.

It is no virtual environment, since that would hold the path of one Python. (venv-pack and venv-pack2 can
change the path, but write /usr/local/bin/python3.113.11 where the link is to a python3.11.)
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
import tempfile
from typing import Any

from groups import pinned, requirements, requirements_file
from lock import includes
from package_index import pip_settings, uv_environment
from progress import StepFailed, say
from wheels import Build

HERE = os.path.dirname(os.path.abspath(__file__))
DIST = os.path.join(os.path.dirname(HERE), "dist")
LAUNCHER = os.path.join(HERE, "executor_python.sh")
LOCK = "executors"
MACHINES = ("x86_64", "aarch64")
PACKAGES = "site-packages"
# The archive's first member: what it was packed from.
ORIGIN = "origin.json"
# Level 9 packs the same in twice the time.
COMPRESSION = 4


def series() -> str:
    """The driver's series of Python, which Spark demands of the executors too: 3.11."""
    return "{}.{}".format(*sys.version_info[:2])


def this_machine() -> str:
    """The name that Linux has for this machine's processor (macOS says arm64 for aarch64)."""
    return {"arm64": "aarch64"}.get(platform.machine(), platform.machine())


def archive_name(machine: str) -> str:
    return f"executors-py{series()}-{machine}.tar.gz"


def launcher(machine: str) -> str:
    """The text of bin/python."""
    with open(LAUNCHER, encoding="utf-8") as file:
        return file.read().replace("@SERIES@", series()).replace("@MACHINE@", machine)


def origin(machine: str) -> dict[str, Any]:
    """What an archive is packed from; an archive that says the same is current."""
    files = includes(LOCK)
    digest = hashlib.sha256(requirements(files).encode() + launcher(machine).encode())
    with open(os.path.abspath(__file__), "rb") as file:
        digest.update(file.read())
    return {"python": series(), "machine": machine, "packages": pinned(files), "key": digest.hexdigest()}


def read_origin(archive: str) -> dict[str, Any] | None:
    """What an archive says that it was packed from; None where there is none that can be read."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = tar.next()
            file = tar.extractfile(member) if member and member.name == ORIGIN else None
            return json.load(file) if file else None
    except (OSError, EOFError, ValueError, tarfile.TarError):
        return None


def install(folder: str, machine: str, log: str) -> None:
    """The locked packages for `machine`, into a folder. Raises StepFailed."""
    build = Build(sys.executable, log, environment=uv_environment(pip_settings(sys.executable), os.environ))
    with requirements_file(requirements(includes(LOCK))) as path:
        build.uv(
            f"Installing the executors' packages for Python {series()} on {machine}",
            "install",
            *("--target", folder, "--python-platform", f"{machine}-manylinux_2_28", "--only-binary", ":all:"),
            *("--no-deps", "--require-hashes", "--link-mode", "copy", "--requirement", path),
        )


def write_archive(target: str, packages: str, machine: str) -> None:
    """Pack a folder of packages, atomically: the same bytes whatever the dates and owners of its files."""
    draft = f"{target}.{os.getpid()}"
    try:
        with (
            open(draft, "wb") as file,
            gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, ORIGIN, json.dumps(origin(machine), indent=1).encode())
            _add(tar, "bin/python", launcher(machine).encode(), 0o755)
            for path in _files(packages):
                with open(os.path.join(packages, path), "rb") as source:
                    _add(tar, f"{PACKAGES}/{path}", source.read())
        os.replace(draft, target)
    finally:
        if os.path.exists(draft):
            os.remove(draft)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _files(packages: str) -> list[str]:
    """Paths of all files, relative to the folder, sorted. Commands of the packages (bin/) are left out: they
    name this machine's Python.
    """
    found = []
    for folder, folders, names in os.walk(packages):
        if folder == packages:
            folders[:] = [name for name in folders if name != "bin"]
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [os.path.relpath(os.path.join(folder, name), packages) for name in names if name != ".lock"]
    return sorted(found)


def pack(target: str, machine: str) -> None:
    """Make the archive. Raises StepFailed where the packages cannot be installed."""
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as packages:
        install(packages, machine, os.path.join(folder, "executors.log"))
        say(f"Packing {os.path.relpath(target)}")
        write_archive(target, packages, machine)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--machine", choices=MACHINES, default=this_machine(), help="of the hosts; default: this machine's"
    )
    parser.add_argument("--folder", default=DIST, help="where to write the archive; default: dist")
    arguments = parser.parse_args()
    target = os.path.join(os.path.abspath(arguments.folder), archive_name(arguments.machine))
    if read_origin(target) == origin(arguments.machine):
        return 0
    try:
        pack(target, arguments.machine)
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1
    size = f"{os.path.getsize(target) / 1e6:.0f} MB"
    say(f"{os.path.relpath(target)}: {size}. The hosts need python{series()}; see docs/executors.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
