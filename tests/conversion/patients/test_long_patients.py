"""Of a long patient a model reads what training saw, though it may have more positions."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from conversion.model_folder import open_model
from conversion.patients.patient_blocks import blocks_for
from conversion.patients.patient_files import Patients
from conversion.patients.sample_patients import real_patients
from conversion.release import membership
from conversion.shipped.encode_patient import encode_patient
from conversion.tokens.vocabulary_source import ModelVocabulary
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS

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


def test_in_the_parity_check(folder, write_shards):
    """write_shards gives 3, 40, 1 and 16 codes, one a visit up to visit 8, which has all the rest."""
    vocabulary = ModelVocabulary(open_model(folder).tokens, STANDARD_SPECIAL_TOKENS, "test")
    shards = write_shards(len(vocabulary.tokens))
    rows = pq.read_table(f"{shards}/part-00000.parquet").to_pylist()
    found = real_patients(shards, open_model(folder).config, vocabulary, SEEN)
    assert [patient.token_ids.tolist() for patient in found] == [row["token_ids"][-SEEN:] for row in rows]
    visits = [patient.visit_numbers.tolist() for patient in found]
    assert visits == [[1, 2, 3], [1] * 10, [1], [1, *[2] * 9]]
    assert [patient.prolonged_los for patient in found] == [0, 1, 1, 0]


def test_in_the_membership_test_every_masked_code_is_among_them(folder, monkeypatch):
    patients = Patients(TOKEN_IDS, VISITS, np.asarray([0, NUM_CODES]))
    masked = []

    def losses(network, block, labels):
        assert block.visit_numbers.tolist() == [KEPT_VISITS]
        masked.extend(np.flatnonzero(labels[0] >= 0))
        return np.zeros(2, int), np.zeros(2)  # 15% of 10 codes are two

    monkeypatch.setattr(membership, "_load", lambda path: None)
    monkeypatch.setattr(membership, "_losses", losses)
    for seed in range(15):
        membership.patient_losses(open_model(folder), patients, seed)
    assert set(masked) == set(range(SEEN))
    assert len(masked) == 15 * 4 * 2
