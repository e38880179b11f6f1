"""Which measurements are made."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.train import __main__ as train


@pytest.mark.parametrize("has_accelerate", [True, False])
def test_trainer_is_left_out_and_named_where_it_cannot_run(monkeypatch, has_accelerate):
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda _: object() if has_accelerate else None)
    options = argparse.Namespace(only="bcd", batch_size=256, reference_batch_size=32)
    names = set(train.ways(options))
    rest = {train.TORCH, train.TORCH_BF16, train.TENSORFLOW, train.TENSORFLOW_BF16, train.PADDED}
    assert names == (rest | {train.TRAINER} if has_accelerate else rest)
    assert bool(train.left_out(options)) != has_accelerate


def test_ratios_are_of_measurements_that_exist():
    options = argparse.Namespace(only="abd", batch_size=256, reference_batch_size=32)
    names = set(train.ways(options)) | {train.TRAINER}
    assert {name for pair in train.PAIRS.values() for name in pair} <= names
