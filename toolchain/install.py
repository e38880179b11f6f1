"""Set the project up in .venv: the locked packages, the two mended ones, the project itself. `make setup` runs it.

A stamp in .venv holds a hash of everything that set-up depends on; while it fits, set-up does nothing. Where it
does not fit, a complete environment is brought up to date in place; an incomplete one (interrupted) or one made
with other options or another Python is made anew.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import doctor
from progress import StepFailed
from wheels import HOROVOD, PETASTORM, Build, ensure_wheel

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements", "requirements.lock")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, ".setup-complete")
INSTALLED_LOCK = os.path.join(VENV, ".requirements.lock")
LOG = os.path.join(VENV, "setup.log")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")


def read_pins(path: str) -> dict[str, str]:
    """The `name==version` lines of a lock file; {} where there is none."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        found = (PIN.match(line) for line in file)
        return {match.group(1): match.group(2) for match in found if match}


def setup_key(tensorflow: str, gpu: bool) -> str:
    """A hash of everything that set-up depends on, this folder included (an environment cannot be moved)."""
    parts = [ROOT, sys.version, tensorflow, str(gpu)]
    digest = hashlib.sha256("\0".join(parts).encode())
    here = os.path.join(ROOT, "toolchain")
    inputs = [*glob.glob(os.path.join(here, "*.py")), *glob.glob(os.path.join(here, "patches", "*"))]
    for path in [LOCK, os.path.join(ROOT, "pyproject.toml"), *sorted(inputs)]:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


def read_stamp() -> tuple[str, str]:
    """The key and the options of the set-up that completed .venv; empty where none did."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            key, _, options = file.read().strip().partition(" ")
            return key, options
    except FileNotFoundError:
        return "", ""


def write_stamp(key: str, options: str) -> None:
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        file.write(f"{key} {options}\n")
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


def set_up(key: str, tensorflow: str, gpu: bool) -> None:
    """Make .venv complete. Raises StepFailed, with the command's last lines and the log's path."""
    start = time.monotonic()
    options = f"{tensorflow} gpu={gpu}"
    if read_stamp()[1] == options and venv_runs():
        os.remove(STAMP)
    else:
        print(f"Making the virtual environment {VENV}", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    build = Build(PYTHON, LOG, gpu)
    install_packages(build, tensorflow)
    wheels = [ensure_wheel(package, build) for package in (PETASTORM, HOROVOD)]
    build.pip("Installing petastorm and horovod", "install", "--no-deps", "--force-reinstall", *wheels)
    build.pip(
        "Installing medbert-lake, editable", "install", "--no-deps", "--no-build-isolation", "--editable", ROOT
    )
    check_environment(build)
    shutil.copy(LOCK, INSTALLED_LOCK)
    write_stamp(key, options)
    print(f"Set-up complete in {time.monotonic() - start:.0f} s.", flush=True)


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
    # Installers first. Then the two frameworks, whose further packages depend on the machine (on one with a GPU
    # torch brings CUDA's libraries): they are resolved by pip, within the versions of the lock. Then the rest, for
    # which there is nothing left to resolve.
    build.pip("Installing pip", "install", "--no-deps", f"pip=={pins['pip']}")
    build.pip("Installing torch", "install", f"torch=={pins['torch']}", "--constraint", LOCK)
    build.pip("Installing TensorFlow", "install", framework, "--constraint", LOCK)
    rest = [f"{name}=={version}" for name, version in pins.items() if name not in ("pip", "torch", "tensorflow-cpu")]
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tensorflow", default="tensorflow-cpu", help="tensorflow-cpu, tensorflow[and-cuda], ...")
    parser.add_argument("--gpu", action="store_true", help="build Horovod for NCCL (needs CUDA's compiler)")
    options = parser.parse_args()
    key = setup_key(options.tensorflow, options.gpu)
    if read_stamp()[0] == key:
        return 0
    with only_one_setup():
        if read_stamp()[0] == key:
            return 0
        if doctor.main(["--quiet"] + ["--gpu"] * options.gpu) != 0:
            return 1
        try:
            set_up(key, options.tensorflow, options.gpu)
        except (StepFailed, subprocess.CalledProcessError) as error:
            print(f"\nSet-up failed.\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
