"""The groups of packages that `make setup GROUPS=…` installs, and the locks that each of them needs."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterable, Iterator

from lock import blocks, includes, path_of, pins, read

GROUPS = {
    "spark": "every Spark stage, with its pages",
    "torch": "training with PyTorch, conversion, vectors, release check",
    "tensorflow": "training with TensorFlow, reading TensorFlow checkpoints",
    "s3": "paths on S3, where neither torch nor tensorflow is chosen",
    "serve": "export to ONNX and its runtime",
    "dev": "tests, checks, what the benchmarks compare with",
}
DEFAULT = ("spark", "torch")
FRAMEWORKS = ("torch", "tensorflow")
BOOTSTRAP, TORCH_BUILD = "bootstrap", "pytorch"
# Of the lock TORCH_BUILD, what only PyPI's build of torch needs: another build (TORCH_INDEX) brings its own.
_TORCH_OWN = re.compile(r"torch$|triton$|nvidia-|cuda-")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions, in the order of GROUPS. Raises ValueError for a name that is no group's."""
    names = set(names)
    if unknown := sorted(names - GROUPS.keys()):
        raise ValueError(
            f"GROUPS names {', '.join(unknown)}, which is no group. The groups are {', '.join(GROUPS)}."
        )
    # serve exports with torch.
    if "serve" in names:
        names.add("torch")
    return tuple(name for name in GROUPS if name in names)


def frameworks(groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in FRAMEWORKS if name in groups)


def lock_files(groups: Iterable[str], gpu: bool = False) -> list[str]:
    """The names of the locks to install, those that set-up itself needs first."""
    names = [BOOTSTRAP]
    for group in groups:
        names += includes("tensorflow-gpu" if gpu and group == "tensorflow" else group)
    return list(dict.fromkeys(names))


def requirements(files: Iterable[str], own_torch: bool = False) -> str:
    """The requirements of these locks as one text, each with its hashes.

    own_torch: torch comes from elsewhere, so leave it and what only it needs out.
    """
    lines = dict.fromkeys(block for file in files for block in blocks(read(path_of(file, "lock"))))
    left_out = torch_build() if own_torch else frozenset()
    return "".join(block + "\n" for block in lines if pins(block).keys().isdisjoint(left_out))


@contextlib.contextmanager
def requirements_file(text: str) -> Iterator[str]:
    """The path of a file with this text, for as long as it is needed."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield file.name


def torch_build() -> frozenset[str]:
    """The packages of PyPI's build of torch: itself and CUDA's libraries. TensorFlow's have other names."""
    return frozenset(filter(_TORCH_OWN.match, pins(read(path_of(TORCH_BUILD, "lock")))))


def pinned(files: Iterable[str], own_torch: bool = False) -> dict[str, str]:
    """Name → version of all that these locks name."""
    return pins(requirements(files, own_torch))


def version_of(name: str, *files: str) -> str:
    """The locked version of a package."""
    return pinned(files)[name]
