"""The packaged model's codes are real ones."""

from __future__ import annotations

import csv
import io
from importlib import resources

import pytest

from schemas.codes import ICD9CM, ICD10CM, normalise_code
from spark_jobs.generator.make_incidental_codes import billable_icd9, billable_icd10, incidental_csv
from spark_jobs.generator.model_file import INCIDENTAL_FILE


@pytest.fixture(scope="module")
def icd9_table() -> str:
    return resources.files("reports").joinpath("icd9cm_codes.tsv").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def billable(icd9_table) -> dict[int, set[str]]:
    return {9: set(billable_icd9(icd9_table)), 10: set(billable_icd10())}


def test_there_are_at_least_60_conditions_with_several_codes_in_both_systems(model):
    assert len(model.conditions) >= 60
    assert [c.key for c in model.conditions if len(c.icd9) < 2 or len(c.icd10) < 2] == []


def test_every_code_of_a_condition_is_billable(model, billable):
    assert [c for condition in model.conditions for c in condition.icd9 if c not in billable[9]] == []
    assert [c for condition in model.conditions for c in condition.icd10 if c not in billable[10]] == []


def test_every_incidental_code_is_billable_and_of_no_condition_s_category(model, billable):
    for version, attribute in ((9, "icd9"), (10, "icd10")):
        codes = model.incidental[version]
        assert len(codes) == len(set(codes)) > 3_000
        assert set(codes) <= billable[version]
        taken = {code[:3] for condition in model.conditions for code in getattr(condition, attribute)}
        assert not taken & {code[:3] for code in codes}


def test_the_incidental_file_is_what_its_script_makes(icd9_table):
    packaged = resources.files("spark_jobs.generator").joinpath(INCIDENTAL_FILE).read_bytes()
    assert packaged == incidental_csv(icd9_table).encode()
    assert len(list(csv.DictReader(io.StringIO(packaged.decode())))) == 10_000


def test_codes_have_the_form_that_ingest_accepts(model):
    for version, system in ((9, ICD9CM), (10, ICD10CM)):
        for code in model.incidental[version]:
            normalise_code(system, code)
