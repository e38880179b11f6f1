"""Check that this machine has what set-up needs, and say how to get what is missing: `make doctor`.

Standard library only, and syntax old enough that any Python 3 can run it and say that it is the wrong one.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig

PYTHON = (3, 11)
MIN_JAVA = 17
MIN_GXX = 9
MIN_CLANG = 10
SETUP_DISK_GB = 6.0  # packages 3.3 GB, downloads and the Horovod build on top
RUN_DISK_GB = 1.0
MIN_MEMORY_GB = 4.0


class Finding:
    """The outcome of one check: `found` when all is well, else `why` it is needed and `remedy`."""

    def __init__(self, name, found=None, why="", remedy="", fatal=True):
        self.name = name
        self.found = found
        self.why = why
        self.remedy = remedy
        self.fatal = fatal

    @property
    def ok(self):
        return self.found is not None

    def line(self):
        if self.ok:
            return f"  ok       {self.name}: {self.found}"
        state = "MISSING" if self.fatal else "warning"
        return f"  {state}  {self.name}: {self.why} {self.remedy}"


def how_to_get(debian, redhat, macos):
    return f"Debian/Ubuntu: {debian}; RHEL/Fedora: {redhat}; macOS: {macos}."


def first_output(command):
    """Everything `command` prints (Java writes its version to stderr), or None if it cannot be run."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def check_python():
    version = "{}.{}.{}".format(*sys.version_info[:3])
    wanted = "{}.{}".format(*PYTHON)
    name = "Python " + wanted
    remedy = how_to_get(
        "apt install python3.11 python3.11-venv python3.11-dev",
        "dnf install python3.11 python3.11-devel",
        "brew install python@3.11",
    )
    if sys.version_info[:2] != PYTHON:
        why = f"the locked packages are for {wanted}, {sys.executable} is {version}."
        return Finding(name, None, why, remedy + " Then: make setup PYTHON=python3.11")
    lacking = []
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        lacking.append("the venv module")
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        lacking.append("its C headers (Python.h)")
    if lacking:
        why = "{} is there without {}, which building Horovod needs.".format(
            sys.executable, " and ".join(lacking)
        )
        return Finding(name, None, why, remedy)
    return Finding(name, f"{version} ({sys.executable})")


def java_major(text):
    """The major version in the output of `java -version`: 17 from "17.0.15", 8 from "1.8.0_392"."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else None


def check_java():
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    text = first_output([java, "-version"]) if java else None
    major = java_major(text) if text else None
    name = f"Java {MIN_JAVA}+"
    remedy = how_to_get(
        "apt install openjdk-17-jre-headless",
        "dnf install java-17-openjdk-headless",
        "brew install openjdk@17",
    )
    if java is None:
        return Finding(name, None, "Spark runs on it; no java on PATH and no JAVA_HOME.", remedy)
    if major is None:
        return Finding(name, None, f"Spark runs on it; {java} -version does not work.", remedy)
    if major < MIN_JAVA:
        why = f"Spark 4 runs on it; {java} is Java {major}."
        return Finding(name, None, why, remedy + " Several installed: set JAVA_HOME.")
    return Finding(name, f"Java {major} ({java})")


def check_compiler():
    name = "C++ compiler"
    remedy = how_to_get("apt install g++", "dnf install gcc-c++", "xcode-select --install")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    text = first_output([*compiler.split(), "--version"]) if compiler else None
    if text is None:
        return Finding(
            name, None, "Horovod is compiled on this machine; no g++ or clang++ that works.", remedy
        )
    wanted = MIN_CLANG if "clang" in text else MIN_GXX
    match = re.search(r"(\d+)\.\d+(?:\.\d+)?", text.replace("\n", " "))
    major = int(match.group(1)) if match else 0
    if major < wanted:
        why = f"Horovod is compiled on this machine as C++17; {compiler} is version {major}, not {wanted}+."
        return Finding(name, None, why, remedy + " Several installed: set CXX.")
    return Finding(name, f"{text.splitlines()[0]} ({compiler})")


def check_command(command, why, remedy):
    return Finding(command, shutil.which(command), why, remedy)


def check_disk(root, needed_gb):
    free_gb = shutil.disk_usage(root).free / 2**30
    name = f"{needed_gb:g} GB of free disk"
    if free_gb < needed_gb:
        why = f"packages, the Horovod build and runs need it; {root} has {free_gb:.1f} GB free."
        return Finding(name, None, why, "Free some, or put the project on a larger disk.")
    return Finding(name, f"{free_gb:.0f} GB free")


def check_memory():
    name = f"{MIN_MEMORY_GB:g} GB of memory"
    try:
        memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return Finding(name, "not known on this system")
    if memory_gb < MIN_MEMORY_GB:
        why = f"Spark's driver (DRIVER_MEMORY) and training need it; this machine has {memory_gb:.1f} GB."
        return Finding(name, None, why, "Smaller runs may do: DRIVER_MEMORY=1g, fewer PATIENTS.", fatal=False)
    return Finding(name, f"{memory_gb:.0f} GB")


def examine(root, gpu=False, installed=False):
    """All findings for a project in folder `root`; `installed`: set-up has been completed there before."""
    findings = [
        check_python(),
        check_java(),
        check_compiler(),
        check_command(
            "make",
            "the stages are its targets.",
            how_to_get("apt install make", "dnf install make", "xcode-select --install"),
        ),
        check_command(
            "patch",
            "Horovod and petastorm are mended with it.",
            how_to_get("apt install patch", "dnf install patch", "xcode-select --install"),
        ),
        check_disk(root, RUN_DISK_GB if installed else SETUP_DISK_GB),
        check_memory(),
    ]
    if gpu:
        remedy = "Install NVIDIA's CUDA toolkit of the version torch was built with, and put its bin on PATH."
        findings.append(check_command("nvcc", "HOROVOD_GPU=1 compiles Horovod for CUDA.", remedy))
    return findings


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true", help="check for CUDA's compiler too")
    parser.add_argument("--anew", action="store_true", help="check for the space of a whole set-up")
    parser.add_argument("--quiet", action="store_true", help="say only what is missing")
    options = parser.parse_args(arguments)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = not options.anew and os.path.exists(os.path.join(root, ".venv", ".setup-complete"))
    findings = examine(root, options.gpu, installed)
    for finding in findings:
        if not (options.quiet and finding.ok):
            print(finding.line())
    missing = sum(1 for finding in findings if not finding.ok and finding.fatal)
    if missing:
        print(f"{missing} missing: see above, then run make setup again.")
    elif not options.quiet:
        print("This machine has what set-up needs.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
