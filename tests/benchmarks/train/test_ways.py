"""Which measurements are made."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.train import __main__ as train


def options_of(only):
    return argparse.Namespace(
        only=only, batch_size=256, reference_batch_size=32, max_slots=9, profile_steps=0
    )


@pytest.mark.parametrize("has_accelerate", [True, False])
def test_trainer_is_left_out_and_named_where_it_cannot_run(monkeypatch, has_accelerate):
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda _: object() if has_accelerate else None)
    options = options_of("bcd")
    names = set(train.ways(options))
    rest = {train.TORCH, train.TORCH_BF16, train.TENSORFLOW, train.TENSORFLOW_BF16, train.PADDED}
    assert names == (rest | {train.TRAINER} if has_accelerate else rest)
    assert bool(train.left_out(options)) != has_accelerate


def test_ratios_are_of_measurements_that_exist():
    options = options_of("abde")
    names = set(train.ways(options)) | {train.TRAINER}
    assert {name for pair in train.PAIRS.values() for name in pair} <= names
