"""Names of codes, and the table of those of ICD-9-CM."""

import csv
from collections import Counter
from importlib.resources import files

import pytest

from reports.names import code_name
from schemas.codes import ICD9CM, normalise_code


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """(code, billable, name) of each row."""
    with files("reports").joinpath("icd9cm_codes.tsv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["code", "billable", "name"]
    return rows


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("ICD10CM//I10", "Essential (primary) hypertension"),
        ("ICD9CM//401.9", "Unspecified essential hypertension"),
        ("ICD9CM//401", "Essential hypertension"),
        ("ICD9CM//E885.4", "Fall from snowboard"),
        ("ICD9CM//V22.0", "Supervision of normal first pregnancy"),
        ("ICD9CM//386.00", "Ménière's disease, unspecified"),
        ("ICD10CM//Z99.ZZZ", ""),
        ("ICD9CM//999.99", ""),
        ("LOCAL//1", ""),
        ("[PAD]", ""),
    ],
)
def test_code_names(token, name):
    assert code_name(token) == name


def test_every_code_of_the_table_has_its_name_under_its_token(rows):
    wrong = [code for code, _, name in rows if not name or code_name(normalise_code(ICD9CM, code)) != name]
    assert wrong == []


def test_the_table_has_each_code_once_in_order_and_as_many_as_its_source_says(rows):
    codes = [code for code, _, _ in rows]
    assert codes == sorted(set(codes))
    source = files("reports").joinpath("icd9cm_codes_source.txt").read_text(encoding="utf-8")
    numbers = Counter(billable for _, billable, _ in rows)
    assert numbers.keys() == {"0", "1"}
    assert f"{numbers['1']:,} billable codes; {numbers['0']:,} categories and subcategories" in source


def test_what_is_billable_is_not_divided_and_all_else_is(rows):
    """Of a code's parents in the table: it without its last digit, down to its category."""
    billable = {code: flag == "1" for code, flag, _ in rows}
    parents = {code[:-1] for code in billable if len(code) > (4 if code.startswith("E") else 3)}
    assert parents == {code for code, flag in billable.items() if not flag}
