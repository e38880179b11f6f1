import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codes import SYSTEMS, normalise_code
from tests.spark_jobs import reference
from tests.spark_jobs.raw_codes import raw_codes


@pytest.mark.parametrize(
    ("system", "raw", "expected"),
    [
        ("ICD10CM", " e119 ", "ICD10CM//E11.9"),
        ("ICD10CM", "E11.9", "ICD10CM//E11.9"),
        ("ICD10CM", "C50", "ICD10CM//C50"),
        ("ICD10CM", "s72001a", "ICD10CM//S72.001A"),
        ("ICD10CM", "C7A.00", "ICD10CM//C7A.00"),
        ("ICD10CM", "U07.1", "ICD10CM//U07.1"),
        ("ICD9CM", "25000", "ICD9CM//250.00"),
        ("ICD9CM", "250", "ICD9CM//250"),
        ("ICD9CM", "008.45", "ICD9CM//008.45"),
        ("ICD9CM", "e8810", "ICD9CM//E881.0"),
        ("ICD9CM", "E881", "ICD9CM//E881"),
        ("ICD9CM", "V4581", "ICD9CM//V45.81"),
        ("CCS", " abc.1 ", "CCS//abc.1"),
    ],
)
def test_one_spelling_a_code(system, raw, expected):
    assert normalise_code(system, raw) == expected


@pytest.mark.parametrize(
    ("system", "raw"),
    [
        ("ICD10CM", ""), ("ICD10CM", " \t"), ("ICD10CM", "E1"), ("ICD10CM", "119"), ("ICD10CM", "E11.90000"),
        ("ICD10CM", "E11 9"), ("ICD9CM", "8"), ("ICD9CM", "2500000"), ("ICD9CM", "E88"), ("ICD9CM", "A01"),
        ("ICD9CM", "250.0\n1"), ("CCS", "a\nb"), ("CCS", "a\u2028b"), ("ICD9CM", "٢٥٠"),
        ("A\nB", "x"), ("CCS\u2028", "x"),
    ],
)  # fmt: skip
def test_what_has_not_its_system_s_form_is_refused(system, raw):
    with pytest.raises(ValueError):
        normalise_code(system, raw)


@settings(max_examples=2_000, deadline=None)
@given(system=st.sampled_from([*SYSTEMS, "CCS"]), raw=raw_codes)
@example("CCS", "a\x85b")
@example("CC\x85S", "ab")
@example("CCS", "\u2028a\u2029")
@example("ICD10CM", "\u0131" + "10")  # a dotless i is an I in upper case
def test_equals_plain_python(system, raw):
    expected = reference.normalised_code(system, raw)
    if expected is None:
        with pytest.raises(ValueError):
            normalise_code(system, raw)
        return
    assert normalise_code(system, raw) == expected
    _, code = expected.split("//", 1)
    assert normalise_code(system, code) == expected, "a second time changes nothing"
    assert normalise_code(system, f"\u00a0{raw}\t") == expected
