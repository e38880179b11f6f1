"""Patients through the helper, against what the sequences stage and the trainer's cut make of them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from conversion.shipped.encode_patient import encode_patient
from conversion.tokens.tokenizer import write_tokenizer
from schemas.vocabulary import (
    MEDBERT_SPECIAL_TOKENS,
    SPECIAL_TOKENS,
    STANDARD_SPECIAL_TOKENS,
)
from spark_jobs.transforms.visits import UNKNOWN, assemble
from trainer.core.input.batch import RaggedBatch
from trainer.core.input.ragged import cut

MOST_CODES = 7
CODES = ("ICD10CM//E11.9", "ICD10CM//I10", "ICD10CM//N18.3", "ICD10CM//Z79.4")
UNKNOWN_CODES = ("ICD10CM//A01", "Q99.9", "LOCAL//x")
visits = st.lists(st.lists(st.sampled_from(CODES + UNKNOWN_CODES), min_size=1, max_size=6), max_size=5)


@pytest.fixture(scope="module", params=["with [UNK]", "without"])
def vocabulary(request, tmp_path_factory):
    """Tokenizer, tokens and the id of [UNK]."""
    special = STANDARD_SPECIAL_TOKENS if request.param == "with [UNK]" else MEDBERT_SPECIAL_TOKENS
    tokens = (*(SPECIAL_TOKENS if special.unk is not None else SPECIAL_TOKENS[:1]), *CODES)
    folder = str(tmp_path_factory.mktemp("tokenizer"))
    write_tokenizer(folder, tokens, special, MOST_CODES)
    return AutoTokenizer.from_pretrained(folder), tokens, special.unk


def as_trained(patient, tokens, unk):
    """input_ids, token_type_ids and num_unknown as the sequences stage and the trainer make them."""
    rows = [(day, code) for day, codes in enumerate(patient) for code in codes]
    days = pa.array([day for day, _ in rows], pa.int64())
    ids = [tokens.index(code) if code in tokens else UNKNOWN for _, code in rows]
    batch = pa.RecordBatch.from_pydict(
        {
            "patient_id": pa.array(["a"] * len(rows), pa.string()),
            "admit": days,
            "discharge": days,
            "token_id": pa.array(ids, pa.int64()),
        }
    )
    (row,) = assemble(batch, unk).to_pylist()
    ragged = RaggedBatch(
        np.asarray(row["token_ids"]),
        np.asarray(row["visit_numbers"]),
        np.asarray([0, len(row["token_ids"])]),
        np.zeros(1, int),
        np.zeros(1, int),
    )
    shortened, _ = cut(ragged, MOST_CODES)
    return shortened.token_ids.tolist(), shortened.visit_numbers.tolist(), row["num_unknown"]


@settings(max_examples=200, deadline=None)
@given(patient=visits.filter(len))
def test_a_patient_is_what_training_saw(vocabulary, patient):
    tokenizer, tokens, unk = vocabulary
    found = encode_patient(tokenizer, patient)
    input_ids, visit_numbers, num_unknown = as_trained(patient, tokens, unk)
    assert found.inputs["input_ids"] == input_ids
    assert found.inputs["token_type_ids"] == visit_numbers
    assert found.inputs["attention_mask"] == [1] * len(input_ids)
    assert found.num_unknown == num_unknown


def test_spellings_masked_codes_and_padding(vocabulary):
    tokenizer, tokens, _ = vocabulary
    mask = tokenizer.mask_token
    short = encode_patient(tokenizer, [["e119", "E11.9", " i10 "], [], [mask, "Z794", mask]])
    ids = [tokens.index(CODES[0]), tokens.index(CODES[1]), tokenizer.mask_token_id, tokens.index(CODES[3])]
    assert short.inputs["input_ids"] == [*ids, tokenizer.mask_token_id]
    assert short.inputs["token_type_ids"] == [1, 1, 2, 2, 2]
    long = encode_patient(tokenizer, [CODES, CODES])
    assert (long.num_cut, long.num_unknown) == (1, 0)
    padded = tokenizer.pad([short.inputs, long.inputs])
    assert padded["token_type_ids"][0] == [1, 1, 2, 2, 2, 0, 0]
    assert padded["attention_mask"][0] == [1, 1, 1, 1, 1, 0, 0]
    assert encode_patient(tokenizer, [[], []]).inputs["input_ids"] == []
