import pytest

from schemas.icd_chapters import CHAPTERS, OTHER, category_of, chapter_of


@pytest.mark.parametrize(
    ("token", "chapter"),
    [
        ("ICD10CM//A00.0", "Infections"),
        ("ICD10CM//B99", "Infections"),
        ("ICD10CM//C7A.00", "Neoplasms"),
        ("ICD10CM//D49.9", "Neoplasms"),
        ("ICD10CM//D50.0", "Blood"),
        ("ICD10CM//E11.9", "Endocrine and metabolic"),
        ("ICD10CM//H60.0", "Ear"),
        ("ICD10CM//M1A.0", "Musculoskeletal"),
        ("ICD10CM//O9A.2", "Pregnancy"),
        ("ICD10CM//Z3A.00", "Health status"),
        ("ICD10CM//U07.1", "Special purposes"),
        ("ICD9CM//008.45", "Infections"),
        ("ICD9CM//250.00", "Endocrine and metabolic"),
        ("ICD9CM//280.9", "Blood"),
        ("ICD9CM//E881.0", "External causes"),
        ("ICD9CM//V45.81", "Health status"),
        ("LOCAL//E11.9", OTHER),
        ("[MASK]", OTHER),
        ("ICD10CM//11", OTHER),
    ],
)
def test_chapter(token, chapter):
    assert chapter_of(token) == chapter
    assert chapter in (*CHAPTERS, OTHER)


def test_category():
    assert category_of("ICD10CM//E11.9") == "E11"
    assert category_of("ICD9CM//E881.0") == "E881"
    assert category_of("[PAD]") is None
