"""Build the two packages that need patches, and keep the wheels for the next clone on this machine.

petastorm and horovod had their last releases in 2023. Each is downloaded as its authors published it (checked
by SHA-256), patched with toolchain/patches/ and packed as a wheel, in
$XDG_CACHE_HOME/medbert-lake/wheels/<key>/ (~/.cache by default). The key covers all that a wheel depends on,
so a wheel is never used with another torch, TensorFlow, Python or patch. Downloads are kept too.
"""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from progress import StepFailed, run_step

HERE = os.path.dirname(os.path.abspath(__file__))
PATCHES = os.path.join(HERE, "patches")
LEGACY_PARQUET = os.path.join(PATCHES, "petastorm_legacy_parquet.py")
GB_PER_COMPILER = 2  # TensorFlow's headers are heavy
ABANDONED_AFTER_S = 86_400


@dataclass(frozen=True)
class Package:
    """A published distribution that is patched here, and how its wheel is made from the patched source."""

    name: str
    version: str
    sha256: str
    download_options: tuple[str, ...]
    pack: Callable[[Build, str, str], None]
    compiled: bool
    added_files: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def patch(self) -> str:
        return os.path.join(PATCHES, f"{self.name}-{self.version}.patch")


@dataclass(frozen=True)
class Build:
    """What to build with.

    python: the virtual environment's interpreter. log: a log file. frameworks: those that Horovod is built
    for, of torch and tensorflow. gpu: Horovod with NCCL. environment: beside this process's, for uv.
    """

    python: str
    log: str
    frameworks: tuple[str, ...] = ()
    gpu: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def pip(self, title: str, *arguments: str, **kwargs) -> None:
        run_step(title, [self.python, "-m", "pip", *arguments], self.log, **kwargs)

    def uv(self, title: str, *arguments: str) -> None:
        """`uv pip` on the environment of `python`."""
        uv = os.path.join(os.path.dirname(self.python), "uv")
        command = [uv, "pip", arguments[0], "--python", self.python, *arguments[1:]]
        run_step(title, command, self.log, env=os.environ | dict(self.environment))


def built_wheel(package: Package, build: Build) -> str | None:
    """The path of the patched wheel, if this machine has built it before."""
    return _wheel_in(_wheel_folder(package, build))


def ensure_wheel(package: Package, build: Build) -> str:
    """The path of the patched wheel, built first if this machine has none."""
    folder = _wheel_folder(package, build)
    if not _wheel_in(folder):
        _build_wheel(package, build, folder)
    return _wheel_in(folder)


def _wheel_folder(package: Package, build: Build) -> str:
    return os.path.join(cache_folder(), wheel_key(package, build))


def _wheel_in(folder: str) -> str | None:
    wheels = glob.glob("*.whl", root_dir=folder)
    return os.path.join(folder, wheels[0]) if wheels else None


def cache_folder() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "medbert-lake", "wheels")


def wheel_key(package: Package, build: Build) -> str:
    """`<package>-<hash>` of all that the wheel depends on."""
    parts = [package.requirement.encode(), package.sha256.encode()]
    for path in (package.patch, *package.added_files, os.path.abspath(__file__)):
        with open(path, "rb") as file:
            parts.append(file.read())
    if package.compiled:
        distributions = {"torch": ("torch",), "tensorflow": ("tensorflow", "tensorflow-cpu")}
        frameworks = [name for framework in build.frameworks for name in distributions[framework]]
        machine = (sys.version, sysconfig.get_platform(), *platform.libc_ver())
        parts += [text.encode() for text in machine]
        parts += [f"{name}={installed_version(build.python, name)}".encode() for name in frameworks]
        parts += [f"{name}={value}".encode() for name, value in sorted(horovod_options(build).items())]
    return f"{package.name}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:20]}"


def installed_version(python: str, distribution: str) -> str:
    """The version of a distribution in the environment of `python`, "" if it is not there."""
    code = (
        "import importlib.metadata as m, sys\n"
        "try: print(m.version(sys.argv[1]))\n"
        "except m.PackageNotFoundError: pass"
    )
    done = subprocess.run([python, "-c", code, distribution], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _build_wheel(package: Package, build: Build, folder: str) -> None:
    """Download, check, patch, pack; the wheel appears in `folder` complete or not at all."""
    os.makedirs(cache_folder(), exist_ok=True)
    _remove_abandoned(cache_folder())
    work = tempfile.mkdtemp(prefix="building-", dir=cache_folder())
    try:
        source, wheels = (os.path.join(work, name) for name in ("source", "wheels"))
        os.makedirs(wheels)
        _unpack(_downloaded(package, build, work), source)
        run_step(
            f"Patching {package.requirement}",
            ["patch", "--strip=1", "--fuzz=0", "--batch", "--input", package.patch],
            build.log,
            cwd=source,
        )
        package.pack(build, source, wheels)
        try:
            os.replace(wheels, folder)
        except OSError:  # another set-up was quicker: its wheel is as good
            if not _wheel_in(folder):
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _downloaded(package: Package, build: Build, work: str) -> str:
    """The path of the published file, from the cache where it is there.

    Raises StepFailed if what the index has is another.
    """
    downloads = os.path.join(cache_folder(), "downloads")
    for name in glob.glob(f"{package.name}-{package.version}*", root_dir=downloads):
        if _sha256(os.path.join(downloads, name)) == package.sha256:
            return os.path.join(downloads, name)
    folder = os.path.join(work, "downloads")
    options = ("--no-deps", "--dest", folder, *package.download_options)
    build.pip(f"Downloading {package.requirement}", "download", *options, package.requirement)
    (name,) = os.listdir(folder)
    archive = os.path.join(folder, name)
    if (found := _sha256(archive)) != package.sha256:
        raise StepFailed(
            f"{package.requirement} as downloaded has the SHA-256 {found}, not {package.sha256}: the patch "
            f"was made for the published file. Check the package index that pip uses on this machine."
        )
    os.makedirs(downloads, exist_ok=True)
    target = os.path.join(downloads, name)
    os.replace(archive, target)
    return target


def _remove_abandoned(cache: str) -> None:
    """Remove the folders of builds that were killed long ago."""
    for name in glob.glob("building-*", root_dir=cache):
        folder = os.path.join(cache, name)
        if os.path.getmtime(folder) < time.time() - ABANDONED_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(archive: str, source: str) -> None:
    """Unpack a wheel, or a source distribution without its one top folder, into folder `source`."""
    if archive.endswith(".whl"):
        shutil.unpack_archive(archive, source, "zip")
        return
    # Python 3.11.0 to 3.11.3 have no filters.
    filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(archive, source + "-unpacked", **filters)
    (top,) = os.listdir(source + "-unpacked")
    os.replace(os.path.join(source + "-unpacked", top), source)


def _pack_petastorm(build: Build, source: str, wheels: str) -> None:
    shutil.copy(LEGACY_PARQUET, os.path.join(source, "petastorm", "legacy_parquet.py"))
    run_step("Packing petastorm", [build.python, "-m", "wheel", "pack", source, "-d", wheels], build.log)


def _pack_horovod(build: Build, source: str, wheels: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MFLAGS", "MAKELEVEL")}
    environment.setdefault("HOROVOD_CMAKE", os.path.join(os.path.dirname(build.python), "cmake"))
    environment.update(horovod_options(build), MAKEFLAGS=f"-j{num_compilers()}")
    if build.gpu:
        environment.update(_pip_nccl(build, os.path.dirname(source)))
    build.pip(
        f"Compiling horovod {HOROVOD.version} (some minutes, once a machine)",
        "wheel",
        "--verbose",
        "--no-build-isolation",
        "--no-deps",
        "--wheel-dir",
        wheels,
        source,
        env=environment,
    )


def horovod_options(build: Build) -> dict[str, str]:
    """What Horovod's build reads from the environment; the user's own HOROVOD_... settings come on top."""
    names = {"torch": "PYTORCH", "tensorflow": "TENSORFLOW"}
    options = {
        **{
            f"HOROVOD_{'WITH' if framework in build.frameworks else 'WITHOUT'}_{name}": "1"
            for framework, name in names.items()
        },
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITH_GLOO": "1",
        "HOROVOD_WITHOUT_MPI": "1",
        "CMAKE_POLICY_VERSION_MINIMUM": "3.5",  # CMake 4 refuses gloo's older minimum
    }
    if build.gpu:
        options |= {"HOROVOD_GPU": "CUDA", "HOROVOD_GPU_OPERATIONS": "NCCL"}
    users = {name: value for name, value in os.environ.items() if name.startswith("HOROVOD_")}
    return options | users


def _pip_nccl(build: Build, work: str) -> dict[str, str]:
    """Point Horovod at the NCCL that torch brought, unless the user named one (HOROVOD_NCCL_HOME).

    pip's package has libnccl.so.2 only: the linker wants libnccl.so.
    """
    found = subprocess.run(
        [build.python, "-c", "import nvidia.nccl as nccl; print(list(nccl.__path__)[0])"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    if "HOROVOD_NCCL_HOME" in os.environ or not found:
        return {}
    home = os.path.join(work, "nccl")
    os.makedirs(os.path.join(home, "lib"))
    os.symlink(os.path.join(found, "include"), os.path.join(home, "include"))
    os.symlink(os.path.join(found, "lib", "libnccl.so.2"), os.path.join(home, "lib", "libnccl.so"))
    return {"HOROVOD_NCCL_HOME": home, "HOROVOD_NCCL_LINK": "SHARED"}


def num_compilers() -> int:
    """How many compilers the cores and the memory of this machine can run at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(cores, int(memory_gb / GB_PER_COMPILER)))


PETASTORM = Package(
    name="petastorm",
    version="0.13.1",
    sha256="7d073f01f65ba6b50e05fae8254d0f469881bcaf41ead2028e676517c45bbd1b",
    download_options=("--only-binary", "petastorm"),
    pack=_pack_petastorm,
    compiled=False,
    added_files=(LEGACY_PARQUET,),
)
HOROVOD = Package(
    name="horovod",
    version="0.28.1",
    sha256="92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0",
    download_options=("--no-binary", "horovod", "--no-build-isolation"),
    pack=_pack_horovod,
    compiled=True,
)
