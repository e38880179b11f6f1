import numpy as np
import pytest

from tests.trainer.small_models import EMPTY, forward_inputs, join, make_batch
from trainer.core.input.slots import HIDDEN_SLOT, pack_batch, padded_slots

BATCH = join(make_batch(1, 80, 17), make_batch(2, 15, 90), make_batch(3, 2, 300))
WAYS = [(1, 1), (600, 1), (600, 2), (100_000, 1), (100_000, 3)]


def pieces_of(packed):
    return [piece for part in packed.parts for piece in part]


@pytest.mark.parametrize(("max_slots", "hands"), WAYS)
def test_each_patient_keeps_codes_visits_and_label_in_order(max_slots, hands):
    patients = BATCH.patients
    seen = []
    for piece in pieces_of(pack_batch(BATCH, max_slots, hands)):
        slots = piece.slots
        assert {array.dtype for array in slots} == {np.dtype(np.int32)}
        for number, patient in enumerate(piece.patients):
            codes = slice(*patients.offsets[patient : patient + 2])
            places = np.arange(patients.lengths[patient]) + slots.first_slots[number]
            assert (slots.patients[places] == number).all()
            assert slots.positions[places].tolist() == list(range(len(places)))
            assert (slots.input_ids[places] == BATCH.input_ids[codes]).all()
            assert (slots.visit_numbers[places] == patients.visit_numbers[codes]).all()
            assert slots.prolonged_los[number] == patients.prolonged_los[patient]
        empty = slots.patients == len(piece.patients)
        assert (~empty).sum() == patients.lengths[piece.patients].sum()
        assert piece.rows[-1].stop == len(empty)
        seen += piece.patients.tolist()
    assert sorted(seen) == list(range(patients.num_patients))


@pytest.mark.parametrize(("max_slots", "hands"), WAYS)
def test_masked_slots_come_in_multiples_and_hold_what_the_batch_had(max_slots, hands):
    seen = []
    for piece in pieces_of(pack_batch(BATCH, max_slots, hands)):
        slots = piece.slots
        assert len(slots.masked_slots) % 64 == 0
        given = slots.masked_labels >= 0
        assert given.tolist() == [True] * len(piece.masked) + [False] * (len(given) - len(piece.masked))
        assert (slots.masked_labels[given] == BATCH.labels[piece.masked]).all()
        codes = BATCH.masked[piece.masked]
        assert (slots.input_ids[slots.masked_slots[given]] == BATCH.input_ids[codes]).all()
        patients = piece.patients[slots.patients[slots.masked_slots[given]]]
        assert (patients == BATCH.masked_patients[piece.masked]).all()
        assert (slots.positions[slots.masked_slots[given]] == codes - BATCH.patients.offsets[patients]).all()
        seen += piece.masked.tolist()
    assert sorted(seen) == list(range(len(BATCH.masked)))


def test_slots_are_counted_over_all_pieces():
    packed = pack_batch(BATCH, 600, 2)
    assert packed.num_slots == sum(len(piece.slots.input_ids) for piece in pieces_of(packed))
    assert packed.num_slots >= BATCH.patients.num_codes


def test_nobody_fills_no_slots():
    packed = pack_batch(EMPTY, 100)
    assert (packed.parts, packed.num_slots) == ((), 0)


def test_inputs_as_they_stand_are_one_patient_a_row():
    inputs = forward_inputs()
    slots, hidden = padded_slots(inputs)
    real = inputs["attention_mask"] > 0
    assert (hidden[:, 0, 0] == np.where(real, 0, HIDDEN_SLOT)).all()
    assert (slots.patients.reshape(real.shape)[~real] == len(real)).all()
    assert (slots.input_ids[slots.first_slots] == inputs["input_ids"][:, 0]).all()
    masked = inputs["input_ids"][inputs["masked_rows"], inputs["masked_columns"]]
    assert (slots.input_ids[slots.masked_slots] == masked).all()
