"""Diagnoses lie in files of whole patients, and what is made of them does not depend on it."""

import json
import random

import pyarrow.parquet as pq
import pytest

from schemas.layout import LAYOUT, has_whole_patients
from schemas.manifest import Manifest, publish_manifest
from tests.spark_jobs.pipeline import write_extract

pytestmark = pytest.mark.spark

PATIENTS = 40
NUM_FILES = 3
CODES = ("250.00", "401.9", "150.6")


@pytest.fixture
def ingested(run, tmp_path):
    chance = random.Random(0)
    lines = [
        f"p{patient} 2012-01-{day:02} 2012-01-{day:02} ICD9_{chance.choice(CODES)} - - -"
        for patient in range(PATIENTS)
        for day in chance.sample(range(1, 29), 6)
    ]
    chance.shuffle(lines)
    run.ingest("medbert", write_extract(tmp_path / "x.tsv", *lines), num_partitions=NUM_FILES)
    return run


def without_layout(run) -> None:
    """As though the diagnoses were a foreign folder: rows in any order, and a manifest that says nothing."""
    manifest = run.manifest("diagnoses")
    details = {name: value for name, value in manifest.details.items() if name != LAYOUT}
    plain = json.loads(manifest.to_json())
    publish_manifest(
        run.path("diagnoses"),
        Manifest("diagnoses", plain["parameters"], plain["inputs"], manifest.files, manifest.counts, details),
    )


def test_each_patient_lies_in_one_file_in_order(ingested):
    manifest = ingested.manifest("diagnoses")
    assert has_whole_patients(manifest)
    assert manifest.details[LAYOUT]["num_partitions"] == len(manifest.files) == NUM_FILES
    seen: set[str] = set()
    for file in manifest.files:
        rows = pq.read_table(f"{ingested.path('diagnoses')}/{file.path}").to_pylist()
        keys = [(row["patient_id"], row["discharge_date"]) for row in rows]
        assert keys == sorted(keys)
        assert not seen & {patient for patient, _ in keys}
        seen |= {patient for patient, _ in keys}
    assert len(seen) == PATIENTS


def test_later_stages_are_the_same_with_and_without_it(ingested):
    ingested.vocabulary()
    ingested.sequences()
    vocabulary, patients = ingested.rows("vocabulary"), ingested.patients()
    without_layout(ingested)
    assert not has_whole_patients(ingested.manifest("diagnoses"))
    ingested.vocabulary()
    ingested.sequences()
    assert ingested.rows("vocabulary") == vocabulary
    assert ingested.patients() == patients
