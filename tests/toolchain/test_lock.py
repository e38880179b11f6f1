"""The locks: all that is asked for, with hashes, for every supported Python and system."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parents[2] / "requirements"
FILES = sorted(path.stem for path in FOLDER.glob("*.lock"))
HASHED = re.compile(r"[\w.-]+==\S+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+")


@pytest.fixture
def lock(toolchain):
    return toolchain("lock")


def own(lock, name):
    return lock.blocks((FOLDER / f"{name}.lock").read_text())


def full(lock, name):
    return [block for file in lock.includes(name) for block in own(lock, file)]


def test_every_file_has_its_lock_and_stands_after_those_it_includes(lock):
    assert set(lock.FILES) == set(FILES) == {path.stem for path in FOLDER.glob("*.in")}
    for at, name in enumerate(lock.FILES):
        assert lock.includes(name, "in") == lock.includes(name, "lock"), f"{name}: run make lock"
        assert set(lock.includes(name)) <= set(lock.FILES[: at + 1])


@pytest.mark.parametrize("name", FILES)
def test_all_that_is_asked_for_is_locked(lock, name):
    pins = lock.pins("\n".join(full(lock, name)))
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    for line in (line for line in lines if line and not line.startswith(("#", "-r "))):
        wanted = Requirement(line.partition("#")[0])
        assert canonicalize_name(wanted.name) in pins, f"{name}.in names {wanted}: run make lock"
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), f"{wanted}: run make lock"


@pytest.mark.parametrize("name", FILES)
def test_every_line_has_its_hashes(lock, name):
    text = (FOLDER / f"{name}.lock").read_text()
    found = own(lock, name)
    assert [block for block in found if not HASHED.fullmatch(block)] == []
    rest = [line for line in text.splitlines() if not line.startswith(("-r ", "#"))]
    assert "\n".join(found).splitlines() == rest, "and there is nothing else"


def test_a_package_has_one_version_in_all_locks(lock):
    versions: dict[str, set[str]] = {}
    for name in FILES:
        for package, version in lock.pins("\n".join(own(lock, name))).items():
            versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def pinned(*names):
    return [f"{name}==1 \\\n    --hash=sha256:{'0' * 64}" for name in names]


def test_the_split_by_inclusion_loses_nothing(lock, tmp_path, monkeypatch):
    """c includes a and b; b includes a. c has a package of a's, which with it gets another marker."""
    for name, text in {"a": "x", "b": "-r a.in\ny", "c": "-r b.in\n-r a.in\nz"}.items():
        (tmp_path / f"{name}.in").write_text(f"{text}\n")
    monkeypatch.setattr(lock.path_of, "__defaults__", (str(tmp_path),))
    monkeypatch.setattr(lock.includes, "__defaults__", ("lock", str(tmp_path)))
    monkeypatch.setattr(lock, "FILES", ("a", "b", "c"))
    monkeypatch.setattr(lock, "TOGETHER", ("c",))
    x, y, z = pinned("x", "y", "z")
    marked = x.replace("==1 ", "==1 ; os_name == 'nt' ")
    resolved = {("a",): [x], ("b",): [x, y], ("c",): [marked, y, z]}
    monkeypatch.setattr(
        lock, "compile_lock", lambda names, uv, output, *options: "\n".join(resolved[tuple(names)])
    )
    for name, text in lock.resolve("uv", None).items():
        (tmp_path / f"{name}.lock").write_text(text)
    for name in ("a", "b", "c"):
        found = {
            block
            for file in lock.includes(name)
            for block in lock.blocks(lock.read(lock.path_of(file, "lock")))
        }
        assert set(resolved[name,]) <= found
    assert lock.blocks((tmp_path / "b.lock").read_text()) == [y]
    assert lock.blocks((tmp_path / "c.lock").read_text()) == [marked, z]


@pytest.mark.parametrize(
    ("upgrade", "options"),
    [(None, []), ("all", ["--upgrade"]), ("numpy", ["--upgrade-package", "numpy"])],
)
def test_versions_stay_unless_they_are_to_be_upgraded(lock, monkeypatch, upgrade, options):
    """uv keeps the versions that it finds in the file that it writes: each begins with what is locked."""
    asked = {}

    def compile_lock(names, uv, output, *given):
        asked[tuple(names)] = (set(lock.blocks(Path(output).read_text())), given)
        return ""

    monkeypatch.setattr(lock, "compile_lock", compile_lock)
    lock.resolve("uv", upgrade)
    together, given = asked.pop(lock.TOGETHER)
    assert list(given) == options and together >= {
        block for name in lock.TOGETHER for block in full(lock, name)
    }
    assert {names for (names,) in asked} == set(lock.FILES)
    for (name,), (kept, given) in asked.items():
        assert kept == set(full(lock, name))
        assert list(given[: len(options)]) == options and given[-2] == "--constraint"


def test_a_folder_of_wheels_has_no_say_in_a_lock(lock, monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(
        lock, "pip_settings", lambda _: {"find-links": "/w", "index-url": "https://i.example"}
    )
    monkeypatch.setattr(lock.subprocess, "run", lambda command, env, **_: seen.update(env))
    monkeypatch.setenv("UV_FIND_LINKS", "/w")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    lock.compile_lock(["spark"], "uv", str(tmp_path / "x"))
    assert seen["UV_DEFAULT_INDEX"] == "https://i.example" and "UV_FIND_LINKS" not in seen


# With an index: every lock can be installed everywhere.

PYTHONS = ("3.11.0", "3.12.0", "3.13.0")
SYSTEMS = {
    "x86_64-manylinux_2_28": ("spark", "torch", "tensorflow", "s3", "serve", "dev"),
    "aarch64-manylinux_2_28": ("spark", "torch", "tensorflow", "s3", "serve", "dev"),
    "aarch64-apple-darwin": ("spark", "torch", "tensorflow", "s3", "serve", "dev"),
    # torch and TensorFlow have no wheels for it any more.
    "x86_64-apple-darwin": ("spark",),
}
# Out of reach, rather than without a package.
NO_INDEX = re.compile(
    "failed to fetch|error sending request|dns error|connect error|timed out|network was disabled",
    re.IGNORECASE,
)
NO_FILE = re.compile(
    "no matching|no solution|not found in the package registry|no wheels|hash", re.IGNORECASE
)


@pytest.fixture(scope="module")
def uv() -> str:
    path = os.path.join(os.path.dirname(sys.executable), "uv")
    if not os.path.exists(path):
        pytest.skip(f"uv is not beside this Python: {path}")
    return path


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_group_resolves(toolchain, tmp_path, uv, system, python):
    groups, index = toolchain("groups"), toolchain("package_index")
    path = tmp_path / "requirements.txt"
    path.write_text(groups.requirements(groups.lock_files(SYSTEMS[system])))
    command = [uv, "pip", "install", "--dry-run", "--no-deps", "--target", str(tmp_path / "target")]
    command += ["--python", sys.executable, "--python-version", python, "--python-platform", system]
    command += [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--no-binary",
        "pyspark",
        "--no-binary",
        "future",
    ]
    settings = {**index.pip_settings(sys.executable), "find-links": ""}
    environment = os.environ | index.uv_environment(settings, os.environ)
    environment |= {"MACOSX_DEPLOYMENT_TARGET": "14.0", "UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "0"}
    done = subprocess.run([*command, "-r", str(path)], capture_output=True, text=True, env=environment)
    if done.returncode and NO_INDEX.search(done.stderr) and not NO_FILE.search(done.stderr):
        pytest.skip(f"the package index is out of reach: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Would install \d+ packages", done.stderr), done.stderr
