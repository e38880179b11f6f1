"""Set the project up in .venv: the locked packages, the two mended ones, the project itself (`make setup`).

A stamp in .venv holds a hash of everything that set-up depends on; while it fits, set-up does nothing. Where
it does not fit, a complete environment is brought up to date in place; an incomplete one (interrupted) or one
made with other options or another Python is made anew. A complete one is then kept until the new one is.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import doctor
from anew import made_anew, put_back
from compiled_zip import compile_modules
from lock import normal
from progress import StepFailed
from spark_classes import archive_classes
from wheels import HOROVOD, PETASTORM, Build, ensure_wheel

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements", "requirements.lock")
PROJECT = os.path.join(ROOT, "pyproject.toml")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
PYSPARK_ZIP = os.path.join(
    VENV, "lib", "python3.11", "site-packages", "pyspark", "python", "lib", "pyspark.zip"
)
STAMP = os.path.join(VENV, ".setup-complete")
INSTALLED_LOCK = os.path.join(VENV, ".requirements.lock")
INCOMPLETE = "incomplete"
LOG = os.path.join(VENV, "setup.log")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")


def read_pins(path: str) -> dict[str, str]:
    """The `name==version` lines of a lock file, names as indexes compare them; {} where there is none."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        found = (PIN.match(line) for line in file)
        return {normal(match.group(1)): match.group(2) for match in found if match}


class Options(NamedTuple):
    """What the user chooses; the choice is remembered in the stamp."""

    tensorflow: str = "tensorflow-cpu"
    gpu: bool = False


class Stamp(NamedTuple):
    """What stands in .venv: the key of the set-up that completed it, or INCOMPLETE."""

    key: str
    options: Options


def setup_key(options: Options) -> str:
    """A hash of everything that set-up depends on, this folder included (an environment cannot be moved)."""
    digest = hashlib.sha256("\0".join([ROOT, sys.version, *map(str, options)]).encode())
    for name in (
        "install.py",
        "wheels.py",
        "compiled_zip.py",
        "spark_classes.py",
        os.path.join("patches", "*"),
    ):
        for path in sorted(glob.glob(os.path.join(ROOT, "toolchain", name))):
            digest.update(_content(path))
    digest.update(_content(LOCK))
    digest.update(_packaging_part(_content(PROJECT)))
    return digest.hexdigest()


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _packaging_part(pyproject: bytes) -> bytes:
    """pyproject.toml up to the settings of test and lint tools, which no installation depends on."""
    return pyproject.partition(b"[tool.pytest")[0]


def read_stamp() -> Stamp | None:
    """The stamp of .venv; None where there is none that can be read."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            stamp = json.load(file)
        return Stamp(stamp["key"], Options(**stamp["options"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(stamp: Stamp) -> None:
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        json.dump({"key": stamp.key, "options": stamp.options._asdict()}, file)
    os.replace(STAMP + ".new", STAMP)


@contextlib.contextmanager
def only_one_setup() -> Iterator[None]:
    """Wait until no other set-up works on this folder."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def set_up(options: Options) -> None:
    """Make .venv complete. Raises StepFailed, with the command's last lines and the log's path."""
    start = time.monotonic()
    found = read_stamp()
    if can_be_updated(found, options):
        fill(options)
    else:
        print(f"Making the virtual environment {VENV}", flush=True)
        with made_anew(VENV, LOG, whole=is_complete(found)):
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
            fill(options)
    print(f"Set-up complete in {time.monotonic() - start:.0f} s.", flush=True)


def fill(options: Options) -> None:
    """Bring what is installed in .venv up to date. Raises as set_up does."""
    complete = Stamp(setup_key(options), options)
    write_stamp(Stamp(INCOMPLETE, options))
    build = Build(PYTHON, LOG, options.gpu)
    install_packages(build, options.tensorflow)
    wheels = [ensure_wheel(package, build) for package in (PETASTORM, HOROVOD)]
    build.pip("Installing petastorm and horovod", "install", "--no-deps", "--force-reinstall", *wheels)
    editable = ("--no-deps", "--no-build-isolation", "--editable", ROOT)
    build.pip("Installing medbert-lake, editable", "install", *editable)
    check_environment(build)
    compile_modules(PYSPARK_ZIP)
    archive_classes(VENV, LOG)
    shutil.copy(LOCK, INSTALLED_LOCK)
    write_stamp(complete)


def is_complete(found: Stamp | None) -> bool:
    return found is not None and found.key != INCOMPLETE


def can_be_updated(found: Stamp | None, options: Options) -> bool:
    """Whether .venv can be brought up to date in place, rather than made anew."""
    return is_complete(found) and found.options == options and venv_runs()


def venv_runs() -> bool:
    """Whether .venv has a Python that runs, of the version in use."""
    code = "import sys; sys.exit(sys.version != sys.argv[1])"
    try:
        return subprocess.run([PYTHON, "-c", code, sys.version], capture_output=True).returncode == 0
    except OSError:
        return False


def install_packages(build: Build, tensorflow: str) -> None:
    """Install what the lock names, and take out what an earlier lock named and this one does not."""
    pins = read_pins(LOCK)
    framework = f"{tensorflow}=={pins['tensorflow-cpu']}"
    # The two frameworks first: their further packages depend on the machine (on one with a GPU torch brings
    # CUDA's libraries), so pip resolves them, within the versions of the lock. For the rest there is nothing
    # left to resolve.
    build.pip("Installing pip", "install", "--no-deps", f"pip=={pins['pip']}")
    build.pip("Installing torch", "install", f"torch=={pins['torch']}", "--constraint", LOCK)
    build.pip("Installing TensorFlow", "install", framework, "--constraint", LOCK)
    done = ("pip", "torch", "tensorflow-cpu")
    rest = [f"{name}=={version}" for name, version in pins.items() if name not in done]
    build.pip(f"Installing {len(rest)} further packages", "install", "--no-deps", *rest)
    dropped = sorted(read_pins(INSTALLED_LOCK).keys() - pins.keys())
    if dropped:
        build.pip(f"Removing {', '.join(dropped)}", "uninstall", "--yes", *dropped)


def check_environment(build: Build) -> None:
    """Every declared dependency is there, and Horovod loads beside each framework."""
    build.pip("Checking that all versions fit together", "check")
    for framework in ("torch", "tensorflow"):
        code = f"import horovod.{framework} as hvd; hvd.init(); assert hvd.size() == 1"
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, cwd=VENV)
        if done.returncode != 0:
            raise StepFailed(f"horovod.{framework} does not work:\n{done.stderr[-3000:]}")


def is_current(options: Options) -> bool:
    stamp = read_stamp()
    return stamp is not None and stamp == Stamp(setup_key(options), options)


def chosen(arguments: argparse.Namespace) -> Options:
    """What was asked for; what was not, as last time."""
    last = read_stamp()
    options = last.options if last else Options()
    if arguments.tensorflow:
        options = options._replace(tensorflow=arguments.tensorflow)
    if arguments.gpu:
        options = options._replace(gpu=arguments.gpu == "1")
    return options


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tensorflow", help="tensorflow-cpu, tensorflow[and-cuda]; default: as last time")
    parser.add_argument("--gpu", choices=("0", "1"), help="1: build Horovod for NCCL; default: as last time")
    parser.add_argument("--verbose", action="store_true", help="say so when there is nothing to do")
    arguments = parser.parse_args()

    if is_current(chosen(arguments)):
        if arguments.verbose:
            print("Set-up is complete and current.")
        return 0
    with only_one_setup():
        put_back(VENV)
        options = chosen(arguments)
        if is_current(options):
            return 0
        anew = not can_be_updated(read_stamp(), options)
        if doctor.main(["--quiet"] + ["--gpu"] * options.gpu + ["--anew"] * anew) != 0:
            return 1
        try:
            set_up(options)
        except (StepFailed, subprocess.CalledProcessError) as error:
            print(f"\nSet-up failed.\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
