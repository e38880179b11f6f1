"""Whole runs with the NumPy backend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from schemas.learned_codes import LEARNED_CODES_FILE
from schemas.manifest import join
from schemas.training_log import CONFIG_FILE
from tests.trainer.runs import read_log, run_ranks
from trainer.core.writing import CannotWrite


def test_a_run_learns_and_beats_the_baselines(make_config):
    config = make_config(steps=120, eval_every=60)
    run_ranks(config)
    first, *_, last = read_log(config, "train")
    assert last["mlm_loss"] < first["mlm_loss"] - 0.5
    evaluation = read_log(config, "eval")[-1]
    assert evaluation["patients"] == 90
    assert evaluation["top_10"] > evaluation["most_frequent_top_10"] + 0.3
    assert evaluation["los_auc"] > 0.9


def test_each_step_is_logged_once_and_each_kind_is_there(make_config):
    config = make_config()
    run_ranks(config)
    assert [line["step"] for line in read_log(config, "train")] == list(range(1, 31))
    assert [line["step"] for line in read_log(config, "eval")] == [15, 30]
    assert [line["folder"] for line in read_log(config, "checkpoint")] == [
        f"checkpoints/step-000000{step}" for step in (10, 20, 30)
    ]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_each_patient_once_an_epoch(make_config, world_size):
    config = make_config(steps=100, batch_size=7, eval_every=100, checkpoint_every=100)
    backends = run_ranks(config, world_size)
    per_epoch = -(-400 // world_size)
    steps_an_epoch = -(-per_epoch // 7)
    steps_of_two_epochs = [set(range(1 + n * steps_an_epoch, 1 + (n + 1) * steps_an_epoch)) for n in (0, 1)]
    for steps in steps_of_two_epochs:
        seen = [batch for backend in backends for step, batch, _ in backend.seen if step in steps]
        assert sum(batch.patients.num_patients for batch in seen) == 400


def test_ranks_end_with_equal_weights_and_equal_metrics(make_config, tmp_path):
    config = make_config()
    first, second = run_ranks(config, 2)
    for name in first.weights:
        np.testing.assert_array_equal(first.weights[name], second.weights[name])
    alone = replace(config, output=str(tmp_path / "alone"), batch_size=config.batch_size)
    run_ranks(alone, 1)
    # The valid patients and their masks are the same whatever the number of ranks, and so are the baselines.
    together, single = read_log(config, "eval")[0], read_log(alone, "eval")[0]
    for name in together:
        if name.startswith(("most_frequent", "other_visits")) or name in (
            "patients",
            "masked_codes",
            "los_base_rate",
        ):
            assert together[name] == single[name]


@pytest.mark.parametrize("reader", ["petastorm", "tfrecord"])
def test_every_reader_gives_the_same_losses(make_config, tmp_path, reader):
    arrow = make_config(steps=10)
    other = make_config(steps=10, reader=reader, output=str(tmp_path / "other"))
    run_ranks(arrow)
    run_ranks(other)
    assert [line["mlm_loss"] for line in read_log(arrow, "train")] == [
        line["mlm_loss"] for line in read_log(other, "train")
    ]


def test_more_ranks_than_patients_in_the_last_step(make_config):
    config = make_config(steps=3, batch_size=200, eval_every=3, checkpoint_every=3)
    backends = run_ranks(config, 7)
    assert len({len(backend.seen) for backend in backends}) == 1


@pytest.mark.parametrize("name", [CONFIG_FILE, LEARNED_CODES_FILE])
def test_a_file_beside_the_checkpoints_is_never_half_there(make_config, monkeypatch, name):
    config = make_config(steps=10, eval_every=10)
    run_ranks(config)
    with open(join(config.output, name)) as stream:
        before = stream.read()
    pipe_file = LocalFileSystem.pipe_file

    def half(self, path, value, **options):
        if name not in path or "/checkpoints/" in path:
            return pipe_file(self, path, value, **options)
        pipe_file(self, path, value[: len(value) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", half)
    with pytest.raises(CannotWrite, match=f"{name} cannot be written"):
        run_ranks(replace(config, steps=20))
    with open(join(config.output, name)) as stream:
        assert stream.read() == before
