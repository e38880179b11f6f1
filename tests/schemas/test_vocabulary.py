import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.vocabulary import (
    KIND,
    MEDBERT_SPECIAL_TOKENS,
    STANDARD_SPECIAL_TOKENS,
    VOCAB_FILE,
    parse_vocab_txt,
    read_vocabulary,
    special_tokens_of,
)


def test_line_number_is_the_id():
    assert parse_vocab_txt("[PAD]\nICD10CM//E11.9\n", "v") == ("[PAD]", "ICD10CM//E11.9")
    assert parse_vocab_txt("[PAD]\nlocal code 7", "v") == ("[PAD]", "local code 7")


@settings(deadline=None)
@given(
    tokens=st.lists(
        st.text(st.characters(blacklist_characters="\r\n\ufeff", blacklist_categories=["Cs"]), min_size=1),
        min_size=1,
        unique=True,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_line_ends_and_byte_order_marks_are_no_part_of_tokens(tokens, end, last, mark):
    assert parse_vocab_txt(mark + end.join(tokens) + end * last, "v") == tuple(tokens)


@pytest.mark.parametrize(
    ("text", "message"), [("a\n\nb\n", "line 2 is empty"), ("a\nb\na\n", "lists a twice"), ("", "line 1")]
)
def test_empty_lines_and_repeated_tokens_are_refused(text, message):
    with pytest.raises(ContractError, match=message):
        parse_vocab_txt(text, "v")


def test_codes_come_after_the_special_tokens():
    assert STANDARD_SPECIAL_TOKENS.first_code_id == 4
    assert MEDBERT_SPECIAL_TOKENS.first_code_id == 1
    assert MEDBERT_SPECIAL_TOKENS.ids == {0}


@pytest.mark.parametrize(
    "details", [{}, {"special_tokens": None}, {"special_tokens": {"pad": 0}}, {"special_tokens": {"bos": 1}}]
)
def test_unusable_special_tokens_are_refused(details):
    with pytest.raises(ContractError, match="special_tokens"):
        special_tokens_of(details, "v")


def test_reading_a_folder(tmp_path):
    (tmp_path / VOCAB_FILE).write_text("[PAD]\nICD10CM//E11.9\n")
    special = {"pad": 0, "unk": None, "cls": None, "mask": 0}
    files = (describe_file(str(tmp_path), VOCAB_FILE, rows=2),)
    publish_manifest(
        str(tmp_path), Manifest(KIND, files=files, details={"special_tokens": special, "min_patients": None})
    )
    vocabulary = read_vocabulary(str(tmp_path))
    assert len(vocabulary) == 2
    assert vocabulary.special == MEDBERT_SPECIAL_TOKENS
