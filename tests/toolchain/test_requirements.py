"""What requirements/*.in name is needed."""

import ast
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def imported_packages(folder: Path) -> set[str]:
    """The top-level names that the Python files below a folder import."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def unneeded(lines: str, imported: set[str]) -> list[str]:
    """The requirements that nothing imports and that have no comment saying who needs them."""
    used = {
        canonicalize_name(name)
        for package, names in packages_distributions().items()
        if package in imported
        for name in names
    }
    without_comment = [line for line in lines.splitlines() if line and "#" not in line]
    names = [canonicalize_name(Requirement(line).name) for line in without_comment]
    return [name for name in names if name not in used]


@pytest.fixture(scope="module")
def product(project_root) -> list[str]:
    """The packages that are run outside tests and benchmarks."""
    settings = tomllib.loads(Path(project_root, "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["importlinter"]["root_packages"]


FILES = sorted(Path(__file__).parents[2].glob("requirements/*.in"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_requirement_is_imported_or_says_who_needs_it(project_root, product, file):
    folders = ["tests", "benchmarks"] if file.stem == "dev" else product
    imported = set().union(*(imported_packages(Path(project_root, folder)) for folder in folders))
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("-r ")]
    assert unneeded("\n".join(lines), imported) == []


def test_a_requirement_without_import_or_comment_is_unneeded():
    lines = "# a heading\nPyYAML\nnumpy==2.4.6\nhypothesis\n\nmeds[x]==1  # a remark\nscipy"
    assert unneeded(lines, {"yaml", "numpy"}) == ["hypothesis", "scipy"]
