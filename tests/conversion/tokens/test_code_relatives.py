import pytest

from conversion.tokens.code_relatives import (
    ALL,
    BELOW,
    CATEGORY,
    CHAPTER,
    PARENT_AND_SIBLINGS,
    SYSTEM,
    Relatives,
)

KNOWN = (
    "ICD10CM//E11.6",
    "ICD10CM//E11.65",
    "ICD10CM//E11.9",
    "ICD10CM//E03",
    "ICD9CM//E881.0",
    "LOCAL//E11",
)


@pytest.mark.parametrize(
    ("code", "level", "relatives"),
    [
        ("ICD10CM//E11", BELOW, [0, 1, 2]),
        ("ICD10CM//E11.69", PARENT_AND_SIBLINGS, [0, 1]),
        ("ICD10CM//E11.8", PARENT_AND_SIBLINGS, [0, 1, 2]),
        ("ICD10CM//E11.321", CATEGORY, [0, 1, 2]),
        ("ICD10CM//E78.5", CHAPTER, [0, 1, 2, 3]),
        ("ICD10CM//A00", SYSTEM, [0, 1, 2, 3]),
        ("ICD9CM//E881.1", PARENT_AND_SIBLINGS, [4]),
        ("ICD9CM//E882", CHAPTER, [4]),
        ("LOCAL//E11.9", SYSTEM, [5]),
        ("CCS//49", ALL, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_nearest_come_first(code, level, relatives):
    assert Relatives({token: i for i, token in enumerate(KNOWN)}).nearest(code) == (level, relatives)
