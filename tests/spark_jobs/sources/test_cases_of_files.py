"""The field cases about files and their forms, as their READMEs say. The project's own inputs of these kinds
are in the tests beside this one.
"""

import glob
import os
import shutil
from collections import Counter

import pytest

from schemas.errors import ContractError
from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.meds import MedsOptions

pytestmark = pytest.mark.spark


@pytest.fixture
def case(shared, tmp_path):
    """case(letter): a copy of the folder of a case, without its README."""

    def go(letter: str) -> str:
        found = glob.glob(f"{shared}/cases/data/{letter}_*")
        if not found:
            pytest.skip(f"there is no case {letter} in {shared}")
        shutil.copytree(found[0], tmp_path / letter, ignore=shutil.ignore_patterns("README.md"))
        return str(tmp_path / letter)

    return go


def _with_map(folder: str) -> ClaimsOptions:
    return ClaimsOptions(os.path.join(folder, "map.yaml"))


def _codes(run) -> list[str]:
    return sorted(row["code"] for row in run.rows("diagnoses"))


def test_parquet_files_of_two_types(run, case):
    folder = case("I")
    with pytest.raises(ContractError, match=r"column dx_1 is \w+ in \S+2010-0\d.parquet, and \w+ in \S+2010"):
        run.ingest("claims", f"{folder}/claims", claims=_with_map(folder))


def test_meds_whose_time_is_utc(run, case):
    counts = run.ingest("meds", case("J")).counts
    found = {row["code"]: str(row["admit_date"]) for row in run.rows("diagnoses")}
    assert found == {"ICD10CM//E11.9": "2020-01-01", "ICD10CM//I10": "2020-07-01"}
    assert counts["day_is_visit"] == 2


def test_meds_with_one_slash(run, case):
    folder = case("K")
    counts = run.ingest("meds", folder).counts
    assert _codes(run) == ["ICD10CM//E11.9", "ICD10CM//I10", "ICD9CM//250.00"]
    assert counts["rows_of_other_codes"] == 1
    counts = run.ingest("meds", folder, meds=MedsOptions({"ICD10CM/": "ICD10CM"})).counts
    assert _codes(run) == ["ICD10CM//E11.9", "ICD10CM//I10"]
    assert counts["rows_of_other_codes"] == 2


def test_athena_s_concepts(run, case):
    run.ingest("omop", case("L"))
    assert _codes(run) == ["ICD10CM//I10", "ICD9CM//V58.67"]


def test_padded_column_numbers(run, case):
    folder = case("O")
    run.ingest("claims", f"{folder}/claims.csv", claims=_with_map(folder))
    assert _codes(run) == ["ICD10CM//E11.9", "ICD10CM//I10"]


def test_a_version_column_for_each_diagnosis(run, case):
    folder = case("P")
    with open(f"{folder}/map.yaml") as file:
        text = file.read()
    own = "{columns: [PRNCPAL_DGNS_VRSN_CD, 'ICD_DGNS_VRSN_CD{1..3}'], "
    text = text.replace("{column: PRNCPAL_DGNS_VRSN_CD, ", own).replace("{'0'", "{'': ICD9CM, '0'")
    with open(f"{folder}/map.yaml", "w") as file:
        file.write(text)
    run.ingest("claims", f"{folder}/inpatient.txt", claims=_with_map(folder), format_options={"sep": "|"})
    found = {(row["visit_id"], row["code"]) for row in run.rows("diagnoses")}
    assert found == {
        ("-200", "ICD10CM//R55.55"), ("-200", "ICD10CM//K71.234"), ("-200", "ICD9CM//E879.1"),
        ("-201", "ICD9CM//250.00"), ("-201", "ICD9CM//V58.67"), ("-201", "ICD9CM//401.9"),
    }  # fmt: skip


def test_bytes_that_are_no_utf8(run, case):
    folder = case("Q")
    with open(f"{folder}/claims.csv", "rb") as file:
        assert b"M\xfcller" in file.read()
    try:
        run.ingest("claims", f"{folder}/claims.csv", claims=_with_map(folder))
    except ContractError as error:
        assert "encoding" in str(error)
    assert Counter(row["reason"] for row in run.rows("diagnoses_rejected"))["encoding_unreadable"] == 4
    options = {"encoding": "ISO-8859-1"}
    run.ingest("claims", f"{folder}/claims.csv", claims=_with_map(folder), format_options=options)
    assert {row["patient_id"] for row in run.rows("diagnoses")} >= {"Müller", "Möller"}
