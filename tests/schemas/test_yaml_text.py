"""YAML that people write: what it says, or one message."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from schemas.yaml_text import MOST_DEPTH, MOST_YAML_BYTES, TextLoader, load_yaml, parse_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates()
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


def parse(text, loader=None):
    return parse_yaml(text, "x.yaml", "it is YAML", "fix it", *([loader] if loader else []))


NO_ALIASES = "a YAML file here has no aliases: they multiply what is read"


@settings(max_examples=150, deadline=None)
@given(tree=TREES)
def test_what_is_written_is_read(tree):
    assert parse(yaml.safe_dump(tree)) == tree


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="ab01:-[]{}!&*?|>'\"#% \n,.~<\t\0\ud800é", max_size=40))
def test_any_text_is_read_or_refused(text):
    for loader in (None, TextLoader):
        try:
            parse(text, loader)
        except ContractError as error:
            assert error.rule in ("it is YAML", NO_ALIASES) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("a: {b: 1, c: 2, b: 3}", "'b' is there twice"),
        ("[" * 40 + "]" * 40, "more than 32 levels"),
        ("a: " * 1 + "{a: " * 5000 + "1" + "}" * 5000, "more than 32 levels"),
        ("010", "another base"),
        ("a: 12:30", "another base"),
        ("!!float x", "has not its type"),
        ("!!bool x", "has not its type"),
        ("2020-02-30", "has not its type"),
        ("9" * 5000, "has not its type"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
        ("a: 1\n---\nb: 2\n", "cannot be read"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(ContractError, match=words):
        parse(text)


def test_numbers_that_a_person_reads_alike():
    assert parse("[0, -7, 0x10, 1_000, 0.5, .5, 1e3, '010', 2020-02-03T10:30:00Z]")[:6] == [
        *(0, -7, 16, 1000, 0.5, 0.5),
    ]
    assert parse("[010, 12:30]", TextLoader) == ["010", "12:30"]


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghijklmnopq", "bcdefghijklmnopqr", strict=True)
)
BAD_YAML = {
    "aliases": (LAUGHS, "line 2: an alias"),
    "merge keys": ("a: &a {x: 1}\nb: {<<: *a}\n", "an alias"),
    "itself": ("&a [*a]", "an alias"),
    "depth": ("[" * 500 + "]" * 500, f"more than {MOST_DEPTH} levels"),
    "blocks": ("".join("  " * n + "a:\n" for n in range(100)), "levels"),
    "length": ("#" * (MOST_YAML_BYTES + 1), "more than 4 MiB"),
}


@pytest.mark.parametrize("kind", BAD_YAML)
@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.BaseLoader])
def test_yaml_that_multiplies_or_nests_is_refused(kind, loader):
    text, why = BAD_YAML[kind]
    with pytest.raises(ContractError, match=re.escape(why)):
        load_yaml(text, "x.yaml", loader)


def test_yaml_is_read_as_pyyaml_reads_it(project_root):
    for name in ("configs/base.yaml", "configs/sources/tuva.yaml"):
        with open(f"{project_root}/{name}") as file:
            text = file.read()
        assert load_yaml(text, name) == yaml.safe_load(text) != None  # noqa: E711
