import numpy as np
import pytest

from tests.trainer.small_models import EMPTY, make_block
from trainer.core.slots import StepBlocks, packed_parts, packed_slots, real_slots, slots_of_block

BLOCKS = [make_block(1, 8, 17), make_block(2, 5, 90)]


def test_each_patient_keeps_codes_visits_and_label_in_order():
    slots, rows = packed_slots(BLOCKS)
    assert [one.width for one in rows] == [32, 128]
    patient = 0
    for block in BLOCKS:
        for row, length in enumerate(block.lengths):
            places = np.arange(length) + slots.first_slots[patient]
            assert (slots.patients[places] == patient).all()
            assert slots.positions[places].tolist() == list(range(length))
            assert (slots.input_ids[places] == block.input_ids[row, :length]).all()
            assert (slots.visit_numbers[places] == block.visit_numbers[row, :length]).all()
            assert slots.prolonged_los[patient] == block.prolonged_los[row]
            patient += 1
    assert (slots.patients == patient).sum() == len(slots.patients) - sum(b.lengths.sum() for b in BLOCKS)


def test_masked_slots_come_in_multiples_and_hold_what_the_blocks_had():
    slots, _ = packed_slots(BLOCKS)
    assert len(slots.masked_slots) % 64 == 0
    given = slots.masked_labels >= 0
    assert slots.masked_labels[given].tolist() == [label for b in BLOCKS for label in b.masked_labels]
    read = [code for b in BLOCKS for code in b.input_ids.ravel()[b.masked_positions]]
    assert slots.input_ids[slots.masked_slots[given]].tolist() == read


def test_a_block_as_it_stands_is_one_patient_a_row():
    block = BLOCKS[0]
    slots = slots_of_block(block)
    real = real_slots(block)
    assert (slots.patients.reshape(real.shape)[~real] == len(block.lengths)).all()
    assert (slots.input_ids[slots.first_slots] == block.input_ids[:, 0]).all()
    assert not len(slots_of_block(EMPTY).first_slots)


@pytest.mark.parametrize("max_slots", [1, 100, 100_000])
def test_a_step_packed_ahead_is_the_step(max_slots):
    step = StepBlocks([*BLOCKS, EMPTY], max_slots)
    found, expected = packed_parts(step, max_slots), packed_parts(list(step), max_slots)
    assert found is step.parts
    assert len(found) == len(expected)
    assert [part is None for part in found] == [part is None for part in expected]
    for part, other in zip(filter(None, found), filter(None, expected), strict=True):
        assert part.rows == other.rows
        for array, same in zip(part.slots, other.slots, strict=True):
            np.testing.assert_array_equal(array, same)
    assert step.num_slots == sum(part.rows[-1].stop for part in expected if part)
    assert packed_parts(step, max_slots + 1) is not step.parts


def test_nobody_fills_no_slots():
    for blocks in ([], [EMPTY]):
        step = StepBlocks(blocks, 100)
        assert (step.parts, step.num_slots) == ([None], 0)
