"""Small cases from the field in which codes, or their systems, were read wrongly. Inputs: ../shared/cases."""

import pytest

from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.omop import OmopOptions

pytestmark = pytest.mark.spark


@pytest.fixture
def case(shared) -> str:
    return f"{shared}/cases/data"


def _codes(run) -> list[tuple[str, str]]:
    return sorted((row["patient_id"], row["code"]) for row in run.rows("diagnoses"))


def test_dots_in_the_wrong_place(run, case):
    manifest = run.ingest("medbert", f"{case}/A_dot_in_the_wrong_place/extract.tsv")
    assert _codes(run) == [
        ("p09", "ICD9CM//038.9"), ("p10", "ICD9CM//E950.3"), ("p11", "ICD9CM//428.0"), ("p12", "ICD9CM//250"),
        ("p13", "ICD10CM//E11"), ("p14", "ICD10CM//E11.9"),
    ]  # fmt: skip
    assert manifest.counts["rejected"] == {"code_malformed": 9}


def test_words_as_codes(run, case):
    manifest = run.ingest("medbert", f"{case}/B_words_as_codes/extract.tsv")
    codes = ["I10", "C4A.0", "C7B.02", "M1A.09X0", "O9A.211", "Z3A.40", "U07.1"]
    assert _codes(run) == [(f"p{n:02}", f"ICD10CM//{code}") for n, code in enumerate(codes, 4)]
    assert manifest.counts["rejected"] == {"code_malformed": 3}


def test_a_condition_s_system(run, case):
    manifest = run.ingest("omop", f"{case}/C_omop_system_guessed")
    assert _codes(run) == [("1", "ICD9CM//V58.67")]
    assert manifest.counts["rejected"] == {"code_system_unknown": 6}
    options = OmopOptions(condition_system="ICD9CM")
    manifest = run.ingest("omop", f"{case}/C_omop_system_guessed", omop=options)
    assert {code for _, code in _codes(run)} == {
        "ICD9CM//V58.67", "ICD9CM//E879.1", "ICD9CM//V09.0", "ICD9CM//E934.2", "ICD9CM//250.00",
    }  # fmt: skip
    assert manifest.counts["system_assumed"] == 5
    assert manifest.counts["rejected"] == {"code_malformed": 1}


def test_a_procedure_s_system(run, case):
    path, domains = f"{case}/C_omop_procedure_system_guessed", ["condition", "procedure"]
    manifest = run.ingest("omop", path, omop=OmopOptions(domains=domains))
    assert _codes(run) == [("1", "ICD10PCS//0SRD0J9"), ("1", "ICD9CM//V58.67")]
    assert manifest.counts["rejected"] == {"code_system_unknown": 2}
    run.ingest("omop", path, omop=OmopOptions(domains=domains, procedure_system="CPT4"))
    assert _codes(run) == [("1", "CPT4//99282"), ("1", "ICD9CM//V58.67")]


def test_a_version_column_for_each_diagnosis(run, case, tmp_path):
    folder = f"{case}/P_version_column_per_diagnosis"
    with open(f"{folder}/map.yaml") as file:
        text = file.read()
    column = "system: {column: PRNCPAL_DGNS_VRSN_CD, values: {"
    columns = "system: {columns: [PRNCPAL_DGNS_VRSN_CD, 'ICD_DGNS_VRSN_CD{1..3}'], values: {'': ICD9CM, "
    assert column in text
    (tmp_path / "map.yaml").write_text(text.replace(column, columns))
    manifest = run.ingest(
        "claims",
        f"{folder}/inpatient.txt",
        claims=ClaimsOptions(str(tmp_path / "map.yaml")),
        format_options={"sep": "|"},
    )
    codes = {(row["visit_id"], row["code"]) for row in run.rows("diagnoses")}
    assert codes >= {
        ("-200", "ICD9CM//E879.1"), ("-200", "ICD10CM//R55.55"),
        ("-201", "ICD9CM//250.00"), ("-201", "ICD9CM//V58.67"), ("-201", "ICD9CM//401.9"),
    }  # fmt: skip
    assert not {reason for reason in manifest.counts["rejected"] if reason.startswith("code_")}
