"""What the README says is there is there."""

import os
import re

import pytest


@pytest.fixture(scope="module")
def readme(project_root) -> str:
    with open(os.path.join(project_root, "README.md"), encoding="utf-8") as stream:
        return stream.read()


@pytest.fixture(scope="module")
def makefile(project_root) -> str:
    with open(os.path.join(project_root, "Makefile"), encoding="utf-8") as stream:
        return stream.read()


def test_links_and_files_exist(readme, project_root):
    named = set(re.findall(r"\]\((?!http)([^)#]+)\)", readme))
    named |= set(re.findall(r"\b(?:spark_jobs|configs)/\w+\.(?:py|yaml)\b", readme))
    assert len(named) > 10
    assert [path for path in sorted(named) if not os.path.exists(os.path.join(project_root, path))] == []


def test_targets_and_variables_exist(readme, makefile):
    targets = {word for line in re.findall(r"\bmake ([a-z -]+)", readme) for word in line.split()[:1]}
    assert targets - set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) == set()
    variables = set(re.findall(r"\b([A-Z_]{2,})=", readme))
    assert {"RUN", "SOURCE", "MIN_PATIENTS"} <= variables
    assert variables - set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE)) == set()
