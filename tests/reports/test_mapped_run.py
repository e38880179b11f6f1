"""A run whose codes were mapped between ingest and vocabulary."""

import pytest

from reports.collect import DONE, collect
from reports.flow import balances
from reports.handovers import handovers
from reports.provenance import provenance
from schemas import diagnoses
from schemas.code_maps import MAPPED_FOLDER

ADDED = 250


@pytest.fixture
def mapped_run(fake_run):
    fake_run.write_all("claims", "ingest")
    counts = {"rows_in": fake_run.diagnoses, "rows_added": ADDED}
    fake_run.diagnoses += ADDED
    files = {"part-00000.parquet": fake_run.diagnoses}
    fake_run.publish(MAPPED_FOLDER, diagnoses.KIND, files, ("diagnoses",), counts=counts)
    fake_run.fingerprints["diagnoses"] = fake_run.fingerprints[MAPPED_FOLDER]
    return fake_run.write_all("vocabulary", "sequences")


def test_it_adds_up(mapped_run):
    run = collect(mapped_run.uri)
    assert run.stage("map").state == DONE
    assert all(balance.ok for balance in balances(run))
    assert {
        (handover.text, handover.left) for handover in handovers(run) if "diagnoses" in handover.unit
    } == {
        ("set aside by ingest, kept in diagnoses_rejected/", 1_000),
        ("given out by ingest, read for the code mapping", mapped_run.diagnoses - ADDED),
        ("given out by the code mapping, read for the vocabulary", mapped_run.diagnoses),
        ("given out by the code mapping, read for the sequences", mapped_run.diagnoses),
    }
    assert all(handover.ok for handover in handovers(run))


def test_where_it_came_from(mapped_run):
    inputs = {entry.path: [i.name for i in entry.inputs] for entry in provenance(collect(mapped_run.uri))}
    assert inputs[MAPPED_FOLDER] == ["diagnoses"]
    assert inputs["vocabulary"] == [MAPPED_FOLDER]


def test_a_run_without_it_lacks_nothing(fake_run):
    fake_run.write_all("claims", "ingest", "vocabulary")
    assert "map" not in [stage.spec.name for stage in collect(fake_run.uri).stages]
