"""What the README and the page on installation say is there is there."""

import importlib
import os
import re

import pytest

from schemas.table import TableSchema


@pytest.fixture(scope="module")
def readme(project_root) -> str:
    with open(os.path.join(project_root, "README.md"), encoding="utf-8") as stream:
        return stream.read()


@pytest.fixture(scope="module")
def installation(project_root) -> str:
    with open(os.path.join(project_root, "docs", "installation.md"), encoding="utf-8") as stream:
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


def test_links_of_the_page_on_installation_exist(installation, project_root):
    named = re.findall(r"\]\((?!http)([^)#]+)\)", installation)
    assert named and all(os.path.exists(os.path.join(project_root, "docs", path)) for path in named)


def test_targets_and_variables_exist(readme, installation, makefile, project_root):
    readme += installation
    # Not the package of that name.
    commands = re.findall(r"(?<!install )\bmake ([a-z -]+)", readme)
    targets = {word for line in commands for word in line.split()[:1]}
    assert targets - set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) == set()
    variables = set(re.findall(r"\b([A-Z_]{2,})=", readme))
    assert {"RUN", "SOURCE", "MIN_PATIENTS"} <= variables
    with open(os.path.join(project_root, "Dockerfile"), encoding="utf-8") as stream:
        arguments = set(re.findall(r"^ARG ([A-Z_]+)", stream.read(), re.MULTILINE))
    assert variables - set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE)) - arguments == set()


def section(readme: str, heading: str) -> str:
    return readme.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def test_the_privacy_section_names_every_folder_of_patients(readme, project_root):
    folders = set()
    for name in sorted(os.listdir(f"{project_root}/schemas")):
        if name.endswith(".py"):
            said = vars(importlib.import_module(f"schemas.{name.removesuffix('.py')}"))
            tables = [value for value in said.values() if isinstance(value, TableSchema)]
            if any("patient_id" in table.column_names for table in tables):
                folders |= {value for key, value in said.items() if key in ("KIND", "REJECTED_KIND")}
    assert folders >= {"claims", "diagnoses", "diagnoses_rejected", "sequences", "embeddings"}
    privacy = section(readme, "## Privacy")
    wanted = {*folders, "diagnoses_mapped", "shards"}
    assert [folder for folder in sorted(wanted) if f"`{folder}/`" not in privacy] == []


def test_bare_commands_are_said_to_be_those_of_the_environment(readme):
    before, _, _ = section(readme, "## The stages").partition("\nspark-submit ")
    assert "source .venv/bin/activate" in before
