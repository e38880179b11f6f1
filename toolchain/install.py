"""Set the project up in .venv: the chosen groups of locked packages, petastorm and Horovod with our patches,
and the project itself (`make setup`).

pip installs uv, and uv the rest, with the hashes of the lock. Horovod is compiled while what it does not need
is installed. A stamp in .venv holds a hash of everything that set-up depends on; while it fits, set-up does
nothing. Where it does not fit, a complete environment is updated in place. An incomplete one (interrupted),
or one with another Python or another build of torch, is made again; a complete one is kept until then. What
was downloaded or built is in the caches of uv and of wheels.py, and is not downloaded or built again.
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
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from anew import made_anew, put_back
from compiled_zip import compile_modules
from groups import (
    BOOTSTRAP,
    DEFAULT,
    GROUPS,
    TORCH_BUILD,
    frameworks,
    in_order,
    lock_files,
    pinned,
    requirements,
    requirements_file,
    version_of,
)
from package_index import PYPI, folder_with_torch, pip_settings, torch_options, uv_environment
from progress import Background, StepFailed, say
from wheels import HOROVOD, PETASTORM, Build, Package, built_wheel, ensure_wheel

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCTOR = os.path.join(ROOT, "toolchain", "doctor.sh")
PROJECT = os.path.join(ROOT, "pyproject.toml")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, ".setup-complete")
INCOMPLETE = "incomplete"
LOG = os.path.join(VENV, "setup.log")
AUTO = "auto"
COMPILING = f"Compiling {HOROVOD.requirement}"
# What became of Horovod. Where it failed, only HOROVOD=1 tries again.
INSTALLED, LEFT_OUT, FAILED = "installed", "left out", "failed"


class Options(NamedTuple):
    """What the user chooses; the choice is remembered in the stamp.

    groups: in the order of GROUPS. horovod: 1, 0, or auto (where there is a compiler). gpu: TensorFlow with
    CUDA's libraries, Horovod with NCCL. torch_index: where torch comes from (package_index.torch_options);
    empty: from PyPI, or from the folder that pip's own configuration names.
    """

    groups: tuple[str, ...] = DEFAULT
    horovod: str = AUTO
    gpu: bool = False
    torch_index: str = ""


class Stamp(NamedTuple):
    """What .venv holds.

    key: of the set-up that completed it, or INCOMPLETE. packages: by name, to remove those that a later lock
    does not name. horovod: what became of it: INSTALLED, LEFT_OUT or FAILED.
    """

    key: str
    options: Options
    packages: tuple[str, ...] = ()
    horovod: str = LEFT_OUT


def setup_key(options: Options) -> str:
    """A hash of everything that set-up depends on, this folder included (an environment cannot be moved)."""
    digest = hashlib.sha256("\0".join([ROOT, sys.version, *map(str, options)]).encode())
    locks = lock_files(options.groups, options.gpu)
    paths = [os.path.join(ROOT, "requirements", f"{name}.lock") for name in locks]
    folder = os.path.join(ROOT, "toolchain")
    for name in ("install.py", "wheels.py", "compiled_zip.py", "groups.py", os.path.join("patches", "*.p*")):
        paths += sorted(os.path.join(folder, found) for found in glob.glob(name, root_dir=folder))
    for path in paths:
        digest.update(_content(path))
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
        options = Options(**stamp["options"])
        options = options._replace(groups=in_order(options.groups))
        return Stamp(stamp["key"], options, tuple(stamp["packages"]), stamp["horovod"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(stamp: Stamp) -> None:
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        json.dump({**stamp._asdict(), "options": stamp.options._asdict()}, file)
    os.replace(STAMP + ".new", STAMP)


@contextlib.contextmanager
def only_one_setup() -> Iterator[None]:
    """Wait until no other set-up works on this folder."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work in this folder; this one waits for it.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def set_up(options: Options) -> None:
    """Make .venv complete. Raises StepFailed, with the command's last lines and the log's path."""
    start = time.monotonic()
    found = read_stamp()
    if can_be_updated(found, options):
        fill(options, found)
    else:
        say(f"Making the virtual environment {VENV}")
        with made_anew(VENV, LOG, whole=is_complete(found)):
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
            fill(options, None)
    say(f"Set-up of {', '.join(options.groups)} is complete, in {time.monotonic() - start:.0f} s.")


def fill(options: Options, before: Stamp | None) -> None:
    """Install into .venv what the options ask for, and remove what only `before` did.

    Raises as set_up does.
    """
    key = setup_key(options)
    packages = before.packages if before else ()
    write_stamp(Stamp(INCOMPLETE, options, packages))
    settings = pip_settings(PYTHON)
    build = Build(
        PYTHON,
        LOG,
        frameworks(options.groups),
        options.gpu,
        uv_environment(settings, os.environ),
    )
    files = lock_files(options.groups, options.gpu)
    install_bootstrap(build)
    torch_index = own_torch(options, settings)
    if torch_index:
        install_own_torch(build, torch_index, files)
    named = tuple(sorted(pinned(files)))
    if dropped := sorted(set(packages) - set(named)):
        build.uv(f"Removing {len(dropped)} packages of other groups", "uninstall", *dropped)
    horovod = install_the_rest(build, files, options, own_torch=bool(torch_index))
    build.uv("Checking that all versions fit together", "check")
    if horovod == INSTALLED:
        horovod = check_horovod(build, options)
    prepare_spark(options.groups)
    write_stamp(Stamp(key, options, named, horovod))


def own_torch(options: Options, settings: dict[str, str]) -> str:
    """Where a build of torch that is not PyPI's comes from; empty: PyPI's is taken, or none is needed."""
    if not has_torch(options) or options.torch_index == PYPI:
        return ""
    found = options.torch_index or folder_with_torch(settings, version_of("torch", TORCH_BUILD)) or ""
    if found and not options.torch_index:
        say(f"torch comes from {found}, as pip's find-links says. TORCH_INDEX={PYPI} takes PyPI's.")
    return found


def has_torch(options: Options) -> bool:
    return "torch" in pinned(lock_files(options.groups, options.gpu))


def install_bootstrap(build: Build) -> None:
    """uv and what builds packages, by pip."""
    with requirements_file(requirements([BOOTSTRAP])) as path:
        options = ("--quiet", "--no-deps", "--require-hashes", "--requirement", path)
        build.pip("Installing uv", "install", *options)


def install_own_torch(build: Build, torch_index: str, files: Sequence[str]) -> None:
    """torch of the locked version from elsewhere, with what that build needs, in the locked versions."""
    with requirements_file(requirements(files, own_torch=True)) as constraints:
        build.uv(
            f"Installing torch from {torch_index}",
            "install",
            *torch_options(torch_index),
            "--constraint",
            constraints,
            f"torch=={version_of('torch', TORCH_BUILD)}",
        )


def install_the_rest(build: Build, files: Sequence[str], options: Options, own_torch: bool) -> str:
    """Everything else of the locks, petastorm, Horovod, the project; what became of Horovod."""
    wheels: dict[Package, str | None] = {PETASTORM: None, HOROVOD: None}
    outcome = LEFT_OUT
    with contextlib.ExitStack() as stack:
        compiling = None
        if build.frameworks and wants_horovod(options):
            needed = set(lock_files(build.frameworks, options.gpu))
            first = [name for name in files if name in needed]
            install_locked(build, "Installing the deep-learning packages", first, own_torch)
            wheels[HOROVOD] = built_wheel(HOROVOD, build)
            if not wheels[HOROVOD]:
                say(f"{COMPILING} beside what follows (some minutes, once a machine)")
                compiling = stack.enter_context(Background(COMPILING, ensure_wheel, HOROVOD, build))
        install_locked(build, "Installing the locked packages", files, own_torch)
        if build.frameworks:
            wheels[PETASTORM] = ensure_wheel(PETASTORM, build)
        build.uv(
            "Installing medbert-lake, editable", "install", "--no-deps", "--no-build-isolation", "-e", ROOT
        )
        if compiling:
            wheels[HOROVOD] = _compiled(compiling, options)
            outcome = FAILED
    if wheels[HOROVOD]:
        outcome = INSTALLED
    if found := [wheel for wheel in wheels.values() if wheel]:
        build.uv("Installing the patched packages", "install", "--no-deps", "--reinstall", *found)
    for package, wheel in wheels.items():
        if not wheel:
            remove(package, build)
    return outcome


def _compiled(compiling: Background[str], options: Options) -> str | None:
    """The wheel of Horovod; None where it was wanted only if possible and could not be compiled."""
    try:
        return compiling.result()
    except StepFailed as error:
        if options.horovod != AUTO:
            raise
        say(f"{error}\nHorovod is left out: it does not compile here. One process trains; NP=2 needs it.")
        return None


def remove(package: Package, build: Build) -> None:
    """Take out a patched package that an earlier set-up installed."""
    if glob.glob(f"lib/python*/site-packages/{package.name}-*", root_dir=VENV):
        build.uv(f"Removing {package.name}", "uninstall", package.name)


def wants_horovod(options: Options) -> bool:
    """Whether to build Horovod; where only the machine forbids it, one line says so."""
    if options.horovod != AUTO:
        return options.horovod == "1"
    if can_compile():
        return True
    say("There is no C++ compiler that works, so Horovod is left out: one process trains; NP=2 needs it.")
    return False


def can_compile() -> bool:
    """Whether this machine can build Horovod."""
    command = ["sh", DOCTOR, "--python", sys.executable, "--horovod", AUTO, "--print-horovod"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() == "1"


def install_locked(build: Build, title: str, files: Sequence[str], own_torch: bool) -> None:
    with requirements_file(requirements(files, own_torch=own_torch)) as path:
        options = ("--no-deps", "--require-hashes", "--no-build-isolation", "--requirement", path)
        build.uv(title, "install", *options)


def check_horovod(build: Build, options: Options) -> str:
    """INSTALLED where Horovod loads beside each framework.

    FAILED where it does not, and was wanted only if possible; else raises StepFailed.
    """
    # On the loopback: a machine may not know the address of its own name.
    environment = {"HOROVOD_GLOO_IFACE": "lo0" if sys.platform == "darwin" else "lo"} | os.environ
    for framework in build.frameworks:
        code = f"import horovod.{framework} as hvd; hvd.init(); assert hvd.size() == 1"
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, cwd=VENV, env=environment)
        if done.returncode != 0:
            problem = f"horovod.{framework} does not work:\n{done.stderr[-3000:]}"
            if options.horovod != AUTO:
                raise StepFailed(problem)
            say(f"{problem}\nHorovod is left out. One process trains; NP=2 needs it.")
            remove(HOROVOD, build)
            return FAILED
    return INSTALLED


def prepare_spark(groups: Sequence[str]) -> None:
    """.venv/spark: home, a link to pyspark wherever this Python keeps it, and an empty folder of settings.

    The archive of classes (spark_submit.py) of other jars does not fit, so it goes.
    """
    folder = os.path.join(VENV, "spark")
    shutil.rmtree(folder, ignore_errors=True)
    if "spark" not in groups:
        return
    os.makedirs(os.path.join(folder, "conf"))
    (found,) = glob.glob("lib/python*/site-packages/pyspark", root_dir=VENV)
    pyspark = os.path.join(VENV, found)
    os.symlink(os.path.relpath(pyspark, folder), os.path.join(folder, "home"))
    compile_modules(os.path.join(pyspark, "python", "lib", "pyspark.zip"))


def is_complete(found: Stamp | None) -> bool:
    return found is not None and found.key != INCOMPLETE


def can_be_updated(found: Stamp | None, options: Options) -> bool:
    """Whether .venv can be brought up to date in place, rather than made again.

    Not where torch is to come from elsewhere: it has the same version, so it would stay what it is.
    """
    if found is None or not is_complete(found):
        return False
    same_torch = found.options.torch_index == options.torch_index or not has_torch(found.options)
    return same_torch and venv_runs()


def venv_runs() -> bool:
    """Whether .venv has a Python that runs, of the version in use."""
    code = "import sys; sys.exit(sys.version != sys.argv[1])"
    try:
        return subprocess.run([PYTHON, "-c", code, sys.version], capture_output=True).returncode == 0
    except OSError:
        return False


def is_current(found: Stamp | None, options: Options) -> bool:
    return found is not None and found.options == options and found.key == setup_key(options)


def chosen(arguments: argparse.Namespace, last: Stamp | None) -> Options:
    """What was asked for; what was not, as last time.

    Raises ValueError for a group that does not exist.
    """
    options = last.options if last else Options()
    if arguments.groups:
        options = options._replace(groups=in_order(_names(arguments.groups)))
    elif arguments.add or last is None:
        options = options._replace(groups=in_order((*(options.groups), *_names(arguments.need))))
    if arguments.horovod:
        options = options._replace(horovod=arguments.horovod)
    if arguments.gpu:
        options = options._replace(gpu=arguments.gpu == "1")
    if arguments.torch_index:
        options = options._replace(torch_index=arguments.torch_index)
    return options


def _names(text: str) -> list[str]:
    """The names in a list with commas or spaces."""
    return re.findall(r"[^\s,]+", text)


def missing_groups(arguments: argparse.Namespace, options: Options) -> str | None:
    """What to say where the target needs a group that is not chosen."""
    missing = in_order(set(_names(arguments.need)) - set(options.groups))
    if not missing:
        return None
    what = f"the group{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    groups = ",".join(in_order((*options.groups, *missing)))
    them = "it" if len(missing) == 1 else "them"
    return f"This target needs {what}, not installed here. Add {them}: make setup GROUPS={groups}"


def diagnose(options: Options, update: bool) -> bool:
    """Whether the machine has what this set-up needs; the doctor says what is missing."""
    command = ["sh", DOCTOR, "--quiet", "--python", sys.executable, "--groups", ",".join(options.groups)]
    command += ["--horovod", options.horovod, *["--gpu"] * options.gpu, *["--update"] * update]
    environment = os.environ | {"TORCH_INDEX": options.torch_index}
    return subprocess.run(command, env=environment).returncode == 0


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--groups", default="", help=f"exactly these of {', '.join(GROUPS)}")
    parser.add_argument("--need", default="", help="the groups that the target needs")
    parser.add_argument("--add", action="store_true", help="add the groups that are needed")
    parser.add_argument("--horovod", choices=("0", "1", AUTO), help="build it; default: as last time")
    parser.add_argument("--gpu", choices=("0", "1"), help="CUDA and NCCL; default: as last time")
    parser.add_argument("--torch_index", help="a folder, an index or a backend of torch; pypi: PyPI")
    parser.add_argument("--verbose", action="store_true", help="say so when there is nothing to do")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = arguments_of(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        found = read_stamp()
        options = chosen(arguments, found)
        if message := missing_groups(arguments, options):
            print(message, file=sys.stderr)
            return 1
        if nothing_to_do(arguments, found, options):
            if arguments.verbose:
                say("Set-up is complete and current.")
            return 0
        with only_one_setup():
            put_back(VENV)
            found = read_stamp()
            options = chosen(arguments, found)
            if nothing_to_do(arguments, found, options):
                return 0
            if not diagnose(options, update=can_be_updated(found, options) and found.options == options):
                return 1
            set_up(options)
    except (StepFailed, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"\nSet-up failed.\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up was stopped. The next one uses what this one downloaded and built.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def nothing_to_do(arguments: argparse.Namespace, found: Stamp | None, options: Options) -> bool:
    return is_current(found, options) and not could_have_horovod(arguments, found)


def could_have_horovod(arguments: argparse.Namespace, found: Stamp) -> bool:
    """Whether `make setup` itself is asked for, and there is now a compiler, for lack of which Horovod was
    left out.
    """
    if not arguments.verbose or found.horovod != LEFT_OUT or found.options.horovod != AUTO:
        return False
    return bool(frameworks(found.options.groups)) and can_compile()


if __name__ == "__main__":
    sys.exit(main())
