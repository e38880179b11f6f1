"""Against what the ORIGINAL code made of the same extracts: patient by patient, code by code."""

import json
from collections import defaultdict

import pytest

from schemas.codes import normalise_code
from schemas.medbert_types import PREFIXES
from tests.spark_jobs.pipeline import Run

pytestmark = pytest.mark.spark

GOLDEN = {"mimic_iv_demo": "mimic_iv_demo_extract.tsv", "messy": "messy_extract.tsv.gz"}


def _normalised(diag: str) -> str:
    prefix = next(prefix for prefix in PREFIXES if diag.startswith(prefix))
    return normalise_code(PREFIXES[prefix], diag.removeprefix(prefix))


def _ran(spark, root: str, source: str, raw: str, *condition_types: int) -> Run:
    run = Run(spark, root)
    run.ingest(source, raw, condition_types)
    run.vocabulary(min_patients=1)
    run.sequences(min_codes=1)
    return run


@pytest.fixture(scope="module")
def mimic(spark, shared, tmp_path_factory) -> Run:
    root = str(tmp_path_factory.mktemp("mimic"))
    return _ran(spark, root, "medbert", f"{shared}/golden/{GOLDEN['mimic_iv_demo']}")


@pytest.fixture(scope="module")
def messy(spark, shared, tmp_path_factory) -> Run:
    root = str(tmp_path_factory.mktemp("messy"))
    return _ran(spark, root, "medbert", f"{shared}/golden/{GOLDEN['messy']}")


@pytest.mark.parametrize("name", GOLDEN)
def test_equals_the_original_patient_by_patient(name, shared, request):
    run = request.getfixturevalue({"mimic_iv_demo": "mimic", "messy": "messy"}[name])
    with open(f"{shared}/golden/{name}_sequences.jsonl") as lines:
        expected = {patient["patient_id"]: patient for patient in map(json.loads, lines)}
    got = run.patients()
    assert got.keys() == expected.keys()
    spellings = defaultdict(set)
    for patient_id, patient in expected.items():
        ours = got[patient_id]
        for code in patient["codes"]:
            spellings[_normalised(code)].add(code)
        assert ours["codes"] == [_normalised(code) for code in patient["codes"]], patient_id
        assert ours["visit_numbers"] == patient["visit"]
        assert ours["los_days"] == patient["los_days"]
        assert ours["days_to_next_visit"] == patient["days_to_next_visit"]
        assert ours["prolonged_los"] == bool(patient["prolonged_los"])
    # No two spellings of one code in these extracts: normalisation merges nothing.
    assert all(len(spelt) == 1 for spelt in spellings.values())


def test_mimic_through_omop_has_the_same_diagnoses_and_visits(mimic, spark, shared, tmp_path):
    """OMOP has no order of diagnoses in a visit, and 193 rows of it repeat a code of their visit."""
    omop = _ran(spark, str(tmp_path), "omop", f"{shared}/data/mimic_iv_demo_omop", 32821)
    by_extract, by_omop = mimic.patients(), omop.patients()
    assert by_extract.keys() == by_omop.keys()
    for patient_id, ours in by_extract.items():
        other = by_omop[patient_id]
        pairs = [sorted(zip(row["visit_numbers"], row["codes"], strict=True)) for row in (ours, other)]
        assert pairs[0] == pairs[1]
        for column in (
            "visit_numbers",
            "los_days",
            "days_to_next_visit",
            "prolonged_los",
            "visit_admit_dates",
        ):
            assert ours[column] == other[column]
    assert omop.manifest("diagnoses").counts["rows_in"] == 3833
    assert omop.manifest("diagnoses").counts["rows_rejected"] == 0


def test_mimic_through_omop_without_a_choice_sets_the_chart_rows_aside(spark, shared, tmp_path):
    run = Run(spark, str(tmp_path))
    counts = run.ingest("omop", f"{shared}/data/mimic_iv_demo_omop").counts
    assert counts["rows_in"] == 16441
    assert counts["rows_out"] == 3833
    assert counts["rejected"] == {"code_system_unknown": 12608}
