"""Reading a column map: no Spark."""

import glob
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ContractError
from spark_jobs.sources.claims_map import GENERATED, expand
from spark_jobs.sources.claims_map_file import parse_claims_map, read_claims_map

GOOD = """\
patient: PATIENT
admit: [a]
discharge: [b]
system: {constant: ICD9CM}
diagnoses: {columns: 'diag_{1..3}'}
"""


def test_a_map_in_full():
    text = (
        GOOD
        + "repairs: [{pattern: '^(8)', replacement: '00$1'}]\nmissing: ['?']\ndrop_duplicate_lines: true\n"
    )
    found = parse_claims_map(text, "m.yaml")
    assert found.columns == ["patient", "diag_1", "diag_2", "diag_3", "a", "b"]
    assert found.repairs[0].replacement == "00$1"
    assert found.drop_duplicate_lines is True


def test_systems_of_each_column():
    text = GOOD.replace("{constant: ICD9CM}", "{columns: 'v_{1..3}', values: {'': ICD-9, '0': ICD-10}}")
    text += (
        "procedures: [{columns: p, system: {constant: cpt}}]\ndrugs: [{columns: d, system: {column: k}}]\n"
    )
    found = parse_claims_map(text, "m.yaml")
    assert found.code_columns == ["diag_1", "diag_2", "diag_3", "p", "d"]
    assert found.columns == ["patient", "v_1", "v_2", "v_3", "k", *found.code_columns, "a", "b"]
    meant = {None: "ICD9CM", " nan": "ICD9CM", "0 ": "ICD10CM", "ICD-10-cm": "ICD10CM", "7": None}
    assert {value: found.system.meaning(value) for value in meant} == meant


def test_patterns_of_columns():
    assert expand("DX{9..11}_code") == ["dx9_code", "dx10_code", "dx11_code"]
    assert expand(["Main", "other_{1..2}"]) == ["main", "other_1", "other_2"]
    assert len(GENERATED.diagnosis_columns) == 12


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 3))
def test_padded_patterns_are_the_shell_s(first, length, width):
    """Both numbers padded to one width: every name has it; without zeros none is padded."""
    last = first + length
    names = expand(f"DX{{{str(first).zfill(width)}..{str(last).zfill(width)}}}")
    padded = len(str(first)) < width or len(str(last)) < width
    digits = max(width, len(str(last))) if padded else 0
    assert names == [f"dx{str(number).zfill(digits)}" for number in range(first, last + 1)]
    assert expand("DIAG{01..12}")[8:10] == ["diag09", "diag10"]


def test_a_system_for_each_diagnosis():
    text = GOOD.replace("{constant: ICD9CM}", "{columns: 'v{1..3}', values: {'': ICD9CM, '0': ICD10CM}}")
    found = parse_claims_map(text, "m.yaml")
    assert found.system_columns == ["v1", "v2", "v3"]
    assert found.system.values == {"": "ICD9CM", "0": "ICD10CM"}
    assert found.columns[1:4] == ["v1", "v2", "v3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("patientt: x\n", "patientt"),
        ("diagnoses: {columns: x, ordr: y}\n", "ordr"),
        ("system: {}\n", "a constant, or a column and values"),
        ("system: {constant: A, column: b, values: {x: y}}\n", "not both"),
        ("system: {constant: A, columns: 'v_{1..3}'}\n", "not both"),
        ("system: {columns: [a, b, c], column: b, values: {x: y}}\n", "not both"),
        ("system: {columns: 'v_{1..2}'}\n", "a column for each column of codes"),
        ("procedures: [{columns: diag_3, system: {constant: CPT}}]\n", "each once"),
        ("procedures: [{columns: x, system: {}}]\n", "a constant, or a column and values"),
        ("procedures: [{columns: x}]\n", "system"),
        ("drugs: [{columns: [], system: {constant: NDC}}]\n", "one or more columns"),
        (
            "diagnoses: {columns: x, order: y}\ndrugs: [{columns: z, system: {constant: NDC}}]\n",
            "only for a single column",
        ),
        ("admit: []\n", "it has admit and discharge, or else dates"),
        ("dates: {order_by: x, length_of_stay: y}\n", "or else dates"),
        ("diagnoses: {columns: [x, X]}\n", "each once"),
        ("diagnoses: {columns: x, repeat_on_lines: true}\n", "it needs claim"),
        ("status: {column: x, reversed: [V]}\n", "it needs claim"),
        ("claim: c\nstatus: {column: x}\n", "which values"),
        ("claim: c\nstatus: {column: x, reversed: ['(']}\n", "not a regular expression"),
        ("admit: []\ndischarge: []\ndates: {order_by: x, length_of_stay: y, gap_days: -1}\n", "0 or more"),
        (
            "admit: []\ndischarge: []\ndates: {order_by: x, length_of_stay: y, base: '1/1/1970'}\n",
            "YYYY-MM-DD",
        ),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(ContractError, match=message) as caught:
        parse_claims_map(_changed(change), "m.yaml")
    assert "m.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "just text"])
def test_what_is_no_mapping(text):
    with pytest.raises(ContractError, match=r"m\.yaml"):
        parse_claims_map(text, "m.yaml")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ContractError, match="does not exist"):
        read_claims_map(str(tmp_path / "none.yaml"))


def test_the_maps_that_come_with_the_project(project_root):
    paths = glob.glob(os.path.join(project_root, "configs/sources/*.yaml"))
    assert len(paths) >= 2
    for path in paths:
        assert read_claims_map(path).patient


def _changed(change: str) -> str:
    """GOOD with the keys of `change` in place of its own."""
    keys = {line.partition(":")[0] for line in change.splitlines()}
    kept = [line for line in GOOD.splitlines() if line.partition(":")[0] not in keys]
    return "\n".join([*kept, change])
