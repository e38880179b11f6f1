"""What the card of a model says of its codes."""

import re

from conversion.tokens.tokenizer import OPENED_WITH
from conversion.tokens.vocabulary_source import ModelVocabulary
from schemas.applied_maps import CATEGORIES, GEM, AppliedMap
from schemas.vocabulary import SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

MAPPED = (AppliedMap(GEM, "ICD9CM", "ICD10CM", "first", "a" * 64), AppliedMap(CATEGORIES))


def card_of(write_model, variables, *codes, code_maps=()):
    vocabulary = ModelVocabulary(
        (*SPECIAL_TOKENS, *codes), STANDARD_SPECIAL_TOKENS, "test", code_maps=code_maps
    )
    with open(f"{write_model(variables, vocabulary)}/README.md") as stream:
        return stream.read()


def test_maps_that_the_codes_went_through(write_model, variables):
    mapped = card_of(write_model, variables, "ICD10CM//E11", code_maps=MAPPED)
    assert (
        "codes were mapped by a General Equivalence Mapping from ICD9CM to ICD10CM (a code with several "
        "targets became the first), then cut to their categories, the characters before the dot." in mapped
    )
    assert "E11.9" not in mapped
    assert " `E11`, `e11` and `ICD10CM//E11` are one code." in mapped
    assert "mapped" not in card_of(write_model, variables, "ICD10CM//E11.9")


def test_without_icd_codes_it_shows_no_spellings_of_them(write_model, variables):
    assert "are one code" not in card_of(write_model, variables, "LOCAL//a", "LOCAL//b")


def test_codes_in_its_python_are_literals(write_model, variables):
    codes = ('X//5"tube', "X//it's")
    card = card_of(write_model, variables, *codes)
    (text,) = re.findall(r"`tokenizer\((.*?)\)`", card)
    assert eval(text) == " ".join(codes)
    (visits,) = re.findall(r"encode_patient\(tokenizer, (.*?)\)  #", card)
    assert eval(visits) == [[code] for code in codes]


def test_which_versions_opened_the_tokenizer(write_model, variables):
    card = card_of(write_model, variables, "LOCAL//a", "LOCAL//b")
    *first, last = OPENED_WITH
    assert f"The tokenizer was opened with transformers {', '.join(first)} and {last}." in card


def test_its_example_has_no_more_visits_than_the_model_has_numbers(write_model, make_config, make_variables):
    config = make_config(type_vocab_size=2)
    vocabulary = ModelVocabulary((*SPECIAL_TOKENS, "LOCAL//a", "LOCAL//b"), STANDARD_SPECIAL_TOKENS, "test")
    folder = write_model(make_variables(config), vocabulary, config=config)
    with open(f"{folder}/README.md") as stream:
        assert "encode_patient(tokenizer, [['LOCAL//a']])  #" in stream.read()
