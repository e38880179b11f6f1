"""Of a long patient a model reads what training saw, though it may have more positions."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from conversion.model_folder import open_model
from conversion.patients.patient_blocks import blocks_for
from conversion.patients.patient_files import Patients
from conversion.release import membership
from conversion.shipped.encode_patient import encode_patient

SEEN = 10  # the tiny model has 16 positions
NUM_CODES = 13
TOKEN_IDS = np.arange(4, 4 + NUM_CODES)
VISITS = np.arange(NUM_CODES) // 4 + 1  # 4, 4, 4 and 1 codes
KEPT_VISITS = [1, 2, 2, 2, 2, 3, 3, 3, 3, 4]


@pytest.fixture
def folder(publish_model, variables):
    return publish_model(variables, max_seq_length=SEEN)


def test_in_blocks(folder):
    patients = Patients(TOKEN_IDS, VISITS, np.asarray([0, NUM_CODES]))
    (block,) = blocks_for(open_model(folder), patients, 100)
    assert block.input_ids.tolist() == [TOKEN_IDS[-SEEN:].tolist()]
    assert block.visit_numbers.tolist() == [KEPT_VISITS]


def test_by_the_helper_of_the_folder(folder):
    tokens = open_model(folder).tokens
    visits = [[tokens[i] for i in TOKEN_IDS[visit == VISITS]] for visit in range(1, 5)]
    patient = encode_patient(AutoTokenizer.from_pretrained(folder), visits)
    assert patient.inputs["input_ids"] == TOKEN_IDS[-SEEN:].tolist()
    assert patient.inputs["token_type_ids"] == KEPT_VISITS
    assert patient.num_cut == NUM_CODES - SEEN


def test_in_the_membership_test_every_masked_code_is_among_them(folder):
    patients = Patients(TOKEN_IDS, VISITS, np.asarray([0, NUM_CODES]))
    model, rng = open_model(folder), np.random.default_rng(0)
    chosen = [np.flatnonzero(membership._mask(patients, model, rng)[1].token_ids >= 0) for _ in range(50)]
    assert {len(places) for places in chosen} == {2}  # 15% of 10
    assert min(map(min, chosen)) == NUM_CODES - SEEN
