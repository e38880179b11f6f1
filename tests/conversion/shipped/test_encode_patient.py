"""Patients through the helper, against what the sequences stage and the trainer's cut make of them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from conversion.folder_content import write_files
from conversion.shipped.encode_patient import encode_patient, latest_codes
from conversion.tokens.tokenizer import tokenizer_files
from schemas.latest_codes import latest_codes as latest_codes_of_all
from schemas.vocabulary import (
    MEDBERT_SPECIAL_TOKENS,
    SPECIAL_TOKENS,
    STANDARD_SPECIAL_TOKENS,
)
from spark_jobs.transforms.visits import UNKNOWN, assemble
from trainer.core.input.batch import RaggedBatch
from trainer.core.input.ragged import cut

MOST_CODES = 7
TYPE_VOCAB_SIZE = 6  # five visits
CODES = ("ICD10CM//E11.9", "ICD10CM//I10", "ICD10CM//N18.3", "ICD10CM//Z79.4")
UNKNOWN_CODES = ("ICD10CM//A01", "Q99.9", "LOCAL//x")
visits = st.lists(st.lists(st.sampled_from(CODES + UNKNOWN_CODES), min_size=1, max_size=6), max_size=5)


@pytest.fixture(scope="module", params=["with [UNK]", "without"])
def vocabulary(request, tmp_path_factory):
    """Tokenizer, tokens and the id of [UNK]."""
    special = STANDARD_SPECIAL_TOKENS if request.param == "with [UNK]" else MEDBERT_SPECIAL_TOKENS
    tokens = (*(SPECIAL_TOKENS if special.unk is not None else SPECIAL_TOKENS[:1]), *CODES)
    folder = str(tmp_path_factory.mktemp("tokenizer"))
    write_files(folder, tokenizer_files(tokens, special, MOST_CODES, TYPE_VOCAB_SIZE))
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


@given(gaps=st.lists(st.integers(0, 2), max_size=12), max_codes=st.integers(1, 14))
def test_the_shipped_rule_for_long_patients_is_the_project_s(gaps, max_codes):
    numbers = np.cumsum([1, *gaps])[: len(gaps)]
    ids = np.arange(len(numbers)) + 100
    right = latest_codes_of_all(numbers, np.asarray([0, len(numbers)]), max_codes)
    found = latest_codes(ids.tolist(), numbers.tolist(), max_codes)
    assert found == (ids[right.kept].tolist(), right.visit_numbers.tolist())


SECRET = "Q99.9"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([SECRET, "I10"], "Visit 1 is of type str, not a list of codes"),
        ([["I10"], SECRET], "Visit 2 is of type str"),
        (SECRET, "The argument visits is of type str, not a list of visits"),
        ([SECRET.encode()], "Visit 1 is of type bytes"),
        ([{SECRET, "I10"}], "Visit 1 is of type set"),
        ({"first": [SECRET]}, "Visit 1 is of type str"),
        (None, "The argument visits is of type NoneType"),
        ([["I10"], None], "Visit 2 is of type NoneType"),
        ([float("nan")], "Visit 1 is of type float"),
        ([[SECRET, None]], "Code 2 of visit 1 is of type NoneType"),
        ([["I10"], [SECRET, float("nan")]], "Code 2 of visit 2 is of type float"),
        ([[SECRET, 250]], "Code 2 of visit 1 is of type int"),
        ([[[SECRET]]], "Code 1 of visit 1 is of type list"),
        ([[SECRET, " "]], "Code 2 of visit 1 is an empty text"),
    ],
)
def test_what_is_no_list_of_visits_is_refused_without_showing_a_code(vocabulary, wrong, message):
    with pytest.raises(ValueError, match=message) as refused:
        encode_patient(vocabulary[0], wrong)
    assert SECRET not in str(refused.value)


def test_any_ordered_iterable_is_a_visit(vocabulary):
    tokenizer, _, _ = vocabulary
    right = encode_patient(tokenizer, [list(CODES), list(CODES[:1])]).inputs
    assert encode_patient(tokenizer, (iter(codes) for codes in (CODES, CODES[:1]))).inputs == right
    assert encode_patient(tokenizer, np.asarray([CODES[:2], CODES[2:]])).inputs["token_type_ids"] == [
        1,
        1,
        2,
        2,
    ]
    assert encode_patient(tokenizer, [dict.fromkeys(CODES), CODES[:1]]).inputs == right


def test_more_visits_than_the_model_has_numbers_are_refused(vocabulary):
    tokenizer, _, _ = vocabulary
    visits = [[CODES[number % 4]] for number in range(TYPE_VOCAB_SIZE)]
    assert encode_patient(tokenizer, visits[1:]).inputs["token_type_ids"] == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="has 6 visits, and the model takes at most 5"):
        encode_patient(tokenizer, visits)


def test_visits_that_are_cut_off_need_no_number(vocabulary):
    tokenizer, _, _ = vocabulary
    visits = [[CODES[1]]] * TYPE_VOCAB_SIZE + [CODES] * 2  # eight visits; the last seven codes are of two
    found = encode_patient(tokenizer, visits)
    assert found.inputs["token_type_ids"] == [1, 1, 1, 2, 2, 2, 2]
    assert found.num_cut == TYPE_VOCAB_SIZE + 1


def test_the_limit_of_visits_travels_with_the_tokenizer(vocabulary, tmp_path):
    tokenizer, _, _ = vocabulary
    tokenizer.save_pretrained(tmp_path)
    saved = AutoTokenizer.from_pretrained(tmp_path)
    visits = [[CODES[number % 4]] for number in range(TYPE_VOCAB_SIZE)]
    with pytest.raises(ValueError, match="has 6 visits"):
        encode_patient(saved, visits)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"type_vocab_size"', '"other"'))
    with pytest.raises(ValueError, match="does not state type_vocab_size"):
        encode_patient(AutoTokenizer.from_pretrained(tmp_path), visits)
