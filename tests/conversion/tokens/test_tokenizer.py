import functools
import json
import re

import pytest
import transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from conversion.folder_content import write_files
from conversion.tokens.code_spellings import example_spellings
from conversion.tokens.tokenizer import OPENED_WITH, tokenizer_files, unreachable_tokens
from schemas.codes import normalise_code
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS
from tests.spark_jobs.raw_codes import raw_codes

CODES = ("ICD10CM//E11.9", "ICD9CM//250.00", "LOCAL//two words")


def load(folder, tokens, special):
    write_files(str(folder), tokenizer_files(tokens, special, max_seq_length=4, type_vocab_size=9))
    return PreTrainedTokenizerFast.from_pretrained(str(folder))


def test_the_text_of_its_configuration():
    """Names that transformers 4 and 5 both know, and nothing else."""
    files = tokenizer_files((*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS, 4, type_vocab_size=9)
    assert json.loads(files["tokenizer_config.json"]) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": 4,
        "type_vocab_size": 9,
        "truncation_side": "left",
        "clean_up_tokenization_spaces": False,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    imported = tokenizer_files(("[PAD]", *CODES), MEDBERT_SPECIAL_TOKENS, 4, type_vocab_size=9)
    config = json.loads(imported["tokenizer_config.json"])
    assert {name: token for name, token in config.items() if name.endswith("_token")} == {
        "pad_token": "[PAD]",
        "mask_token": "[PAD]",
    }


def test_this_version_of_transformers_is_among_those_that_the_card_names():
    assert transformers.__version__ in OPENED_WITH


def test_whole_codes_and_nothing_added(tmp_path):
    tokenizer = load(tmp_path, (*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS)
    assert tokenizer("ICD10CM//E11.9\tICD9CM//250.00 ICD10CM//E11").input_ids == [4, 5, 1]
    assert tokenizer(["ICD10CM//E11.9", "ICD9CM//250.00"], is_split_into_words=True).input_ids == [4, 5]
    assert tokenizer(["ICD10CM//E11.9", "ICD9CM//250.00"], padding=True).input_ids == [[4], [5]]
    assert tokenizer.decode([4, 5]) == "ICD10CM//E11.9 ICD9CM//250.00"
    padded = tokenizer(["ICD10CM//E11.9 [MASK]", "ICD9CM//250.00"], padding=True)
    assert padded.input_ids == [[4, 3], [5, 0]]
    assert padded.attention_mask == [[1, 1], [1, 0]]


def test_token_types_are_visit_numbers(tmp_path):
    tokenizer = load(tmp_path, (*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS)
    one, two = "ICD10CM//E11.9 ICD9CM//250.00", "ICD9CM//250.00"
    assert tokenizer(one).token_type_ids == [1, 1]
    assert tokenizer(one, two).token_type_ids == [1, 1, 2]
    assert tokenizer(one, two).input_ids == [4, 5, 5]
    assert tokenizer([one, two], padding=True).token_type_ids == [[1, 1], [1, 0]]
    assert tokenizer([one.split(), [two]], is_split_into_words=True).token_type_ids == [[1, 1], [1]]


def test_of_a_long_patient_the_latest_codes_are_kept(tmp_path):
    tokenizer = load(tmp_path, (*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS)
    codes = ["ICD10CM//E11.9"] * 3 + ["ICD9CM//250.00"] * 3
    assert tokenizer(codes, is_split_into_words=True, truncation=True).input_ids == [4, 5, 5, 5]


def test_without_unk_an_unknown_code_is_an_error(tmp_path):
    tokenizer = load(tmp_path, ("[PAD]", *CODES), MEDBERT_SPECIAL_TOKENS)
    assert tokenizer("ICD10CM//E11.9").input_ids == [1]
    with pytest.raises(Exception, match=r"Missing \[UNK\] token"):
        tokenizer("ICD10CM//E11")


def test_tokens_that_the_tokenizer_cannot_reach_are_counted(tmp_path):
    tokens = (*SPECIAL_TOKENS, *CODES, "ICD10CM//e10")
    load(tmp_path, tokens, STANDARD_SPECIAL_TOKENS)
    assert unreachable_tokens(str(tmp_path), tokens) == 2


ICD10 = ("ICD10CM//E11.9", "ICD10CM//C7A.00", "ICD10CM//S72.001A", "ICD10CM//I10", "ICD10CM//V45.81")
ICD9 = ("ICD9CM//250.00", "ICD9CM//E881.0", "ICD9CM//V45.81", "ICD9CM//401")
OWN = ("LOCAL//aB.c1", "LOCAL//e11.9")


@pytest.fixture(scope="module")
def ids_of(tmp_path_factory):
    """Tokens of one vocabulary → function from text to the tokens found."""

    @functools.cache
    def load_once(*codes):
        return load(tmp_path_factory.mktemp("tokenizer"), (*SPECIAL_TOKENS, *codes), STANDARD_SPECIAL_TOKENS)

    return lambda codes, text: load_once(*codes).tokenize(text)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), token=st.sampled_from([*ICD10, *ICD9]), prefixed=st.booleans(), dotted=st.booleans())
def test_every_spelling_of_a_code_is_its_token(ids_of, data, token, prefixed, dotted):
    system, _, code = token.partition("//")
    text = code if dotted else code.replace(".", "")
    text = f"{system}//{text}" if prefixed else text
    text = "".join(data.draw(st.sampled_from([sign.lower(), sign.upper()])) for sign in text)
    own_system = ICD10 if system == "ICD10CM" else ICD9
    assert ids_of((*own_system, *OWN), text) == [token]
    ambiguous = not prefixed and (code == "V45.81" or text.upper() == "E8810")
    assert ids_of((*ICD10, *ICD9, *OWN), f"I10 {text}") == ["ICD10CM//I10", "[UNK]" if ambiguous else token]


@pytest.mark.parametrize(
    ("codes", "spellings"),
    [
        (ICD10, ["E11.9", "e11.9", "E119", "ICD10CM//E11.9"]),
        (ICD9, ["250.00", "25000", "ICD9CM//250.00"]),
        (("ICD10CM//E11", "ICD10CM//I10"), ["E11", "e11", "ICD10CM//E11"]),
        (("ICD10CM//V45.81", "ICD9CM//V45.81", "ICD10CM//I10"), ["I10", "i10", "ICD10CM//I10"]),
        (("ICD10CM//V45.81", "ICD9CM//V45.81"), []),
        (("ICD10CM//e119", "LOCAL//x"), []),  # as an imported vocabulary may spell it: out of reach
        (OWN, []),
    ],
)
def test_an_example_is_a_code_that_the_vocabulary_has_in_spellings_that_are_it(ids_of, codes, spellings):
    found = example_spellings((*SPECIAL_TOKENS, *codes))
    assert found == spellings
    assert all(ids_of(codes, spelling) == [found[-1]] for spelling in found)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ICD10CM//I10X ICD10CM//i10.x I10X", ["ICD10CM//I10"] * 3),
        ("ICD10CM//E119. ICD9CM//25000. ICD9CM//401.", ["ICD10CM//E11.9", "ICD9CM//250.00", "ICD9CM//401"]),
        ("ICD9CM//2.5000 ICD9CM//25.000 ICD9CM//40.1 ICD9CM//E88.10 ICD10CM//E1.19", ["[UNK]"] * 5),
        ("ICD10CM//E11.9. ICD10CM//E11..9 ICD9CM//2500.0", ["[UNK]"] * 3),
    ],
)
def test_a_dot_in_a_wrong_place_makes_no_other_code(ids_of, text, tokens):
    assert ids_of((*ICD10, *ICD9), text) == tokens


def test_other_systems_and_special_tokens_are_left_as_they_are(ids_of):
    found = ids_of((*ICD10, *ICD9, *OWN), "LOCAL//aB.c1 LOCAL//ab.c1 LOCAL//E119 LOCAL//e11.9 [MASK] [PAD] x")
    assert found == ["LOCAL//aB.c1", "[UNK]", "[UNK]", "LOCAL//e11.9", "[MASK]", "[PAD]", "[UNK]"]
    assert ids_of(OWN, "e11.9 LOCAL//aB.c1") == ["[UNK]", "LOCAL//aB.c1"]


@settings(max_examples=300, deadline=None)
@given(raw=raw_codes, system=st.sampled_from(["ICD10CM", "ICD9CM"]))
def test_no_other_token_than_that_of_the_normalised_code(ids_of, raw, system):
    assume(not re.search("[\ud800-\udfff]", raw))  # a lone surrogate is no text to the tokenizer
    found = ids_of((*ICD10, *ICD9, *OWN), f"{system}//{raw}")
    assume(len(found) == 1)
    try:
        right = normalise_code(system, raw)
    except ValueError:
        right = None
    assert found in ([right], ["[UNK]"])
