import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from schemas.codes import SYSTEMS, known_system, normalise_code, system_named
from schemas.missing import MISSING_WORDS
from tests.spark_jobs import reference
from tests.spark_jobs.raw_codes import raw_codes

# A code, in capitals, without a dot; and how many characters are before the dot, None for no dot. Written
# here once more, apart from schemas.codes.
FORMS = {
    "ICD9CM": [("[0-9]{3,5}", 3), ("V[0-9]{2,4}", 3), ("E(?:0[012][0-9]|030|[89][0-9]{2})[0-9]?", 4)],
    "ICD10CM": [("[A-Z][0-9][0-9A-Z]{1,5}", 3)],
    "ICD9PROC": [("[0-9]{2,4}", 2)],
    "ICD10PCS": [("[0-9A-HJ-NP-Z]{7}", None)],
    "CPT4": [("[0-9]{5}", None), ("[0-9]{4}[AFMTU]", None)],
    "HCPCS": [("[0-9]{5}", None), ("[0-9]{4}[AFMTU]", None), ("[A-V][0-9]{4}", None)],
    "NDC": [("[0-9]{11}", None)],
    "ATC": [("[ABCDGHJLMNPRSV]", None), ("[ABCDGHJLMNPRSV][0-9]{2}[A-Z]{0,2}", None),
            ("[ABCDGHJLMNPRSV][0-9]{2}[A-Z]{2}[0-9]{2}", None)],
    "RXNORM": [("[1-9][0-9]{0,7}", None)],
    "CCSR": [("[A-Z]{3}[0-9]{3}", None)],
}  # fmt: skip
CODES = st.sampled_from([(system, *form) for system, forms in FORMS.items() for form in forms]).flatmap(
    lambda form: st.tuples(st.just(form[0]), st.from_regex(form[1], fullmatch=True), st.just(form[2]))
)


def _token(system: str, raw: str) -> str | None:
    try:
        return normalise_code(system, raw)
    except ValueError:
        return None


def test_every_system_has_its_form_here():
    assert FORMS.keys() == SYSTEMS.keys()


@settings(max_examples=1_000, deadline=None)
@given(form=CODES, lower=st.booleans(), blank=st.sampled_from(["", " ", "\t", "\u00a0"]))
def test_a_code_is_its_token_with_the_dot_after_its_category_at_its_end_or_nowhere(form, lower, blank):
    system, code, category = form
    assume(not (system == "ICD10CM" and set(code[3:]) == {"X"}))
    dotted = code if category is None or len(code) == category else f"{code[:category]}.{code[category:]}"
    allowed = {code, dotted} | ({f"{code}."} if category is not None else set())
    for place in range(len(code) + 1):
        raw = f"{code[:place]}.{code[place:]}"
        expected = f"{system}//{dotted}" if raw in allowed else None
        assert _token(system, raw) == expected, raw
    for raw in allowed:
        raw = blank + (raw.lower() if lower else raw) + blank
        assert _token(system, raw) == f"{system}//{dotted}"
    assert _token(system, f"{code}..") is None


@settings(max_examples=3_000, deadline=None)
@given(system=st.sampled_from([*SYSTEMS]), raw=st.one_of(raw_codes, CODES.map(lambda form: form[1])))
def test_what_is_accepted_is_its_token_but_for_the_dot(system, raw):
    token = _token(system, raw)
    if token is None:  # most are: the test above says which are not
        return
    written = raw.strip().upper()
    own_system, _, code = token.partition("//")
    assert own_system == system
    assert written.count(".") <= 1
    bare = code.replace(".", "")
    if system == "ICD10CM" and written.replace(".", "") != bare:
        assert re.fullmatch(r"\.?X+\.?", written.removeprefix(bare))
    else:
        assert written in (code, bare, f"{bare}.")
    assert any(re.fullmatch(form, bare) for form, _ in FORMS[system])
    assert _token(system, code) == token, "a second time changes nothing"


@settings(max_examples=300, deadline=None)
@given(st.from_regex("[0-9]{11}", fullmatch=True))
def test_an_ndc_is_eleven_digits_in_each_of_its_forms(digits):
    labeler, product, package = digits[:5], digits[5:9], digits[9:]
    token = f"NDC//{digits}"
    assert normalise_code("NDC", f"{labeler}-{product}-{package}") == token
    for short in (
        (labeler.removeprefix("0"), product, package),
        (labeler, product.removeprefix("0"), package),
        (labeler, product, package.removeprefix("0")),
    ):
        ten = "-".join(short)
        if len(ten) == 12:
            assert normalise_code("NDC", ten) == token
            assert _token("NDC", ten.replace("-", "")) is None, "it could be padded in three ways"
    assert _token("NDC", f"{labeler}-{product}{package}") is None
    assert _token("NDC", f"{labeler}-{product}-{package}0") is None


@pytest.mark.parametrize(
    ("names", "system"),
    [
        (("ICD-10", "ICD-10-CM", "icd10", "I10", "icd_10_cm", "ICD 10", "ICD10CM"), "ICD10CM"),
        (("ICD-9", "ICD-9-CM", "icd9", "I9", "icd_9_cm", "ICD 9", "ICD9CM"), "ICD9CM"),
        (("ICD9Proc", "icd-9-pcs"), "ICD9PROC"),
        (("ICD10PCS", "icd-10-pcs"), "ICD10PCS"),
        (("CPT", "CPT4", "cpt-4"), "CPT4"),
        (("RxNorm", "RXCUI"), "RXNORM"),
    ],
)
def test_names_of_a_system(names, system):
    assert {known_system(name) for name in names} == {system}


def test_other_names_stay():
    assert known_system("ICD10GM") is None
    assert system_named(" ICD10GM ") == "ICD10GM"
    assert normalise_code("icd-10", "e119") == "ICD10CM//E11.9"


@pytest.mark.parametrize("system", [*SYSTEMS, "LOCAL"])
@pytest.mark.parametrize("word", MISSING_WORDS)
def test_words_for_missing_are_no_code_of_any_system(system, word):
    for spelt in (word, word.upper(), f" {word.capitalize()}\t"):
        assert _token(system, spelt) is None


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
        ("ICD9CM", "250.", "ICD9CM//250"),
        ("ICD9CM", "E0001", "ICD9CM//E000.1"),
        ("ICD10CM", "I10X", "ICD10CM//I10"),
        ("ICD10CM", "I10.X", "ICD10CM//I10"),
        ("ICD10CM", "T42.0X1A", "ICD10CM//T42.0X1A"),
        ("ICD10CM", "J09.X1", "ICD10CM//J09.X1"),
        ("ICD10CM", "M1A09X0", "ICD10CM//M1A.09X0"),
        ("ICD9PROC", "7869", "ICD9PROC//78.69"),
        ("NDC", "0093-1015-10", "NDC//00093101510"),
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
        ("ICD9CM", "38.9"), ("ICD9CM", "8.45"), ("ICD9CM", "4280.0"), ("ICD9CM", "E88.01"),
        ("ICD9CM", "E119"), ("ICD9CM", "E11.9"), ("ICD9CM", "42.8.0"), ("ICD9CM", ".389"),
        ("ICD10CM", "E879.1"), ("ICD10CM", "PAIN"),
        ("ICD10CM", "CABG"), ("ICD10PCS", "99282"), ("CPT4", "99213-25"), ("NDC", "0093101510"),
        ("A\nB", "x"), ("CCS\u2028", "x"),
    ],
)  # fmt: skip
def test_what_has_not_its_system_s_form_is_refused(system, raw):
    with pytest.raises(ValueError):
        normalise_code(system, raw)


@settings(max_examples=2_000, deadline=None)
@given(system=st.sampled_from(["ICD9CM", "ICD10CM", "CCS"]), raw=raw_codes)
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
