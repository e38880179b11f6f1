"""Every rank's steps through real shards: equally many on all, each patient once."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.vocabulary import STANDARD_SPECIAL_TOKENS
from tests.trainer.shard_files import random_patients, write_split
from trainer.config import MAX_SLOTS, MaskingConfig
from trainer.core.input.masking import Masker
from trainer.core.input.order import Position
from trainer.core.input.slots import pack_batch
from trainer.core.input.training_input import BatchMaker, step_patients, training_input
from trainer.readers import open_reader


@pytest.fixture(scope="module")
def make_reader(tmp_path_factory):
    """A reader of shards with so many patients."""

    def make(sizes):
        uri = str(tmp_path_factory.mktemp("split") / "train")
        patients = iter(random_patients(sum(sizes)))
        parts = [[next(patients) for _ in range(size)] for size in sizes]
        write_split(uri, parts, vocabulary_fingerprint="0" * 64)
        return open_reader("arrow", uri)

    return make


@pytest.fixture(scope="module")
def maker():
    return BatchMaker(Masker(MaskingConfig(), STANDARD_SPECIAL_TOKENS, 44), 32)


def pack(batch):
    return pack_batch(batch, MAX_SLOTS)


def steps_of(reader, maker, rank, position, epochs=2):
    """What a rank trains on: its inputs until so many epochs are over."""
    found = []
    for step in training_input(reader, maker, 0, rank, position, pack):
        found.append(step)
        if step.position.is_done and step.position.epoch == epochs - 1:
            return found
    return found


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [
        ([23, 0, 5, 17], 4),  # uneven shards, one of them empty; a last partial batch
        ([1, 1, 1], 4),  # more ranks than patients: some have none
        ([0, 0, 9, 0], 2),  # all patients in one shard
        ([8, 8], 8),  # nothing left over
    ],
)
def test_ranks_have_equally_many_steps_and_see_each_patient_once_an_epoch(
    make_reader, maker, sizes, batch_size, world_size
):
    reader = make_reader(sizes)
    start = Position.start(0, sum(sizes), world_size, batch_size)
    ranks = [steps_of(reader, maker, rank, start) for rank in range(world_size)]
    assert {len(steps) for steps in ranks} == {2 * start.num_steps}
    for together in zip(*ranks, strict=True):
        assert len({step.position for step in together}) == 1
        assert sum(step.num_patients for step in together) > 0  # no step is for nothing
        assert all(step.num_patients <= batch_size for step in together)
    for epoch in (0, 1):
        rows = []
        for rank, steps in enumerate(ranks):
            of_epoch = [step for step in steps if step.position.epoch == epoch]
            before = Position.start(epoch, sum(sizes), world_size, batch_size)
            for step in of_epoch:
                patients, _ = step_patients(reader, 0, rank, before)
                assert patients.num_patients == step.num_patients
                rows += patients.row_numbers.tolist()
                before = step.position
        assert sorted(rows) == list(range(sum(sizes)))


def test_slots_of_a_step_are_those_that_the_network_computes(make_reader, maker):
    reader = make_reader([300])
    (step, *_) = steps_of(reader, maker, 0, Position.start(0, 300, 1, 300))
    ((piece,),) = step.packed.parts
    assert step.num_slots == len(piece.slots.input_ids) >= step.num_codes
    assert step.num_codes / step.num_slots > 0.9


def test_a_step_read_anew_is_the_same(make_reader, maker):
    reader = make_reader([11, 6])
    position = Position.start(0, 17, 2, 4)
    for step in steps_of(reader, maker, 1, position):
        batch, key = step_patients(reader, 0, 1, position)
        again = pack(maker.prepare(batch, key)[0])
        assert again.num_slots == step.num_slots
        for part, other in zip(step.packed.parts, again.parts, strict=True):
            for array, same in zip(part[0].slots, other[0].slots, strict=True):
                np.testing.assert_array_equal(array, same)
        position = step.position
