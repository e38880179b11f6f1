"""A small fuzz run of every kind of input (python -m tests.fuzz.inputs makes large ones)."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from tests.fuzz.changes import TEXT
from tests.fuzz.input_kinds import Kind, every_kind
from tests.fuzz.inputs import ACCEPTED, DIFFERENT, REFUSED, TRACEBACK, Result, run, run_kind


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return {kind.name: kind for kind in every_kind(str(tmp_path_factory.mktemp("good")))}


def test_every_input_is_read_right_or_refused(monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.ERROR)
    results = run(300, 20_201_001, tensorflow=False)
    assert [example for result in results.values() for example in result.examples] == []
    in_all: Counter[str] = sum((result.counts for result in results.values()), Counter())
    assert in_all[ACCEPTED] > 25 and in_all[REFUSED] > 120
    assert all(result.counts[REFUSED] for result in results.values())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["GEM", "column map", "manifest", "vocab.txt"]))
def test_any_input_is(kinds, tmp_path_factory, seed, name):
    result = Result()
    run_kind(kinds[name], str(tmp_path_factory.mktemp("changed")), range(1), seed, result)
    assert result.examples == []


def fails(folder):
    with open(f"{folder}/x") as stream:
        return {"a b": 1}[stream.read()]


def refuses_unclearly(folder):
    with open(f"{folder}/x") as stream:
        if stream.read() != "a b":
            error = ContractError("", "", "")
            error.args = ("it is wrong",)
            raise error


@pytest.mark.parametrize(
    ("read", "outcome"),
    [(fails, TRACEBACK), (lambda folder: "always", DIFFERENT), (refuses_unclearly, TRACEBACK)],
)
def test_a_reader_at_fault_is_found(tmp_path, read, outcome):
    result = Result()
    kind = Kind("x", {"x": b"a b"}, {"x": TEXT}, read, lambda files, found: files["x"] == b"a b")
    run_kind(kind, str(tmp_path), range(40), 0, result)
    assert result.counts[outcome] > 20
    assert not result.is_good
