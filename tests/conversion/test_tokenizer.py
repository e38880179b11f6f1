import pytest
from transformers import PreTrainedTokenizerFast

from conversion.tokenizer import tokens_with_space, write_tokenizer
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

CODES = ("ICD10CM//E11.9", "ICD9CM//250.00", "LOCAL//two words")


def load(folder, tokens, special):
    write_tokenizer(str(folder), tokens, special, max_position_embeddings=4)
    return PreTrainedTokenizerFast.from_pretrained(str(folder))


def test_whole_codes_and_nothing_added(tmp_path):
    tokenizer = load(tmp_path, (*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS)
    assert tokenizer("ICD10CM//E11.9\tICD9CM//250.00 ICD10CM//E11").input_ids == [4, 5, 1]
    assert tokenizer(["ICD10CM//E11.9", "ICD9CM//250.00"], is_split_into_words=True).input_ids == [4, 5]
    assert tokenizer(["ICD10CM//E11.9", "ICD9CM//250.00"], padding=True).input_ids == [[4], [5]]
    assert tokenizer.decode([4, 5]) == "ICD10CM//E11.9 ICD9CM//250.00"
    padded = tokenizer(["ICD10CM//E11.9 [MASK]", "ICD9CM//250.00"], padding=True)
    assert padded.input_ids == [[4, 3], [5, 0]]
    assert padded.attention_mask == [[1, 1], [1, 0]]


def test_of_a_long_patient_the_latest_codes_are_kept(tmp_path):
    tokenizer = load(tmp_path, (*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS)
    codes = ["ICD10CM//E11.9"] * 3 + ["ICD9CM//250.00"] * 3
    assert tokenizer(codes, is_split_into_words=True, truncation=True).input_ids == [4, 5, 5, 5]


def test_without_unk_an_unknown_code_is_an_error(tmp_path):
    tokenizer = load(tmp_path, ("[PAD]", *CODES), MEDBERT_SPECIAL_TOKENS)
    assert tokenizer("ICD10CM//E11.9").input_ids == [1]
    with pytest.raises(Exception, match=r"Missing \[UNK\] token"):
        tokenizer("ICD10CM//E11")


def test_tokens_that_the_tokenizer_cannot_reach_are_counted():
    assert tokens_with_space(CODES) == 1
