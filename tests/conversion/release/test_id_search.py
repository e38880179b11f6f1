"""Ids of every shape are found where they stand, and not where they do not."""

import numpy as np
import pytest

from conversion.release.id_search import IdsAmongBytes, IdsInTexts


@pytest.mark.parametrize(
    ("patient_id", "text"),
    [
        ("P0000017", "Seen in P0000017."),
        ("P0000017", "runs/patient_P0000017.parquet"),
        ("MRN:00012345", "of MRN:00012345, twice"),
        ("P.1234567", "P.1234567"),
        ("A/998877", "'A/998877'"),
        ("Müller42", "Müller42"),
        ("病人０１２３", "(病人０１２３)"),
        ("AB 12345", "of AB\n12345"),
        ("{0f8fad5b-d9cb-469f-a165-70867728950e}", "id 0f8fad5b-d9cb-469f-a165-70867728950e;"),
        ("12-34-567", "12-34-567"),
        ("#12345678#", "12345678"),
    ],
)
def test_an_id_is_found_among_words(patient_id, text):
    assert IdsInTexts(["nothing", text]).found(patient_id)
    assert not IdsInTexts(["nothing", text]).found(f"X{patient_id}")


@pytest.mark.parametrize("text", ["a12345678", "123456789", "1234 5678", "1234-5678", "12345, 678"])
def test_a_number_within_another_word_is_none(text):
    assert IdsInTexts([text]).found("12345678") is False


def test_words_of_two_texts_are_no_run():
    assert IdsInTexts(["MRN", "00012345"]).found("MRN:00012345") is False


def test_short_ids_and_those_without_letters_are_not_looked_for():
    texts = IdsInTexts(["P123 123456 12-34-56 ***********"])
    answers = [texts.found(name) for name in ("P123", "123456", "12-34-56", "***********", "", "P1234")]
    assert answers == [None, None, None, None, None, False]


def test_an_id_is_found_among_bytes_whatever_stands_beside_it(tmp_path):
    path = str(tmp_path / "weights")
    header = b"P0000001 and 1234567"
    content = b"\x00\xffxP0000017P0000018\x80\x00MRN:00012345\x02 1234568\x99AB1234\x98"
    with open(path, "wb") as stream:
        stream.write(header + content)
    search = IdsAmongBytes(path, len(header))
    sought = ("P0000017", "P0000018", "MRN:00012345", "1234568", "P0000001", "1234567")
    assert [search.found(name) for name in sought] == [True, True, True, True, False, False]
    assert [search.found(name) for name in ("AB1234", "Müller42", "")] == [None, None, None]


def test_weights_hold_no_number_by_chance(tmp_path):
    path = str(tmp_path / "weights")
    np.random.default_rng(0).normal(0, 0.02, 10_000_000).astype(np.float32).tofile(path)
    search = IdsAmongBytes(path, 0)
    assert not any(search.found(str(number)) for number in range(1_000_000, 1_300_000))
