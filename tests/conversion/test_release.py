"""May a model folder be given away? Each check finds what it is for; the program writes card and report."""

import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score

from conversion.extend_vocabulary import CodeCounts
from conversion.model_folder import open_model
from conversion.patients.patient_files import open_patients
from conversion.release.files import check_files, check_patient_data
from conversion.release.membership import area_under_roc
from conversion.release.release_check import ReleaseConfig, release_check
from conversion.release.small_cells import check_small_cells
from schemas.errors import ContractError
from schemas.manifest import read_manifest

RUN = """
import json, sys
from conversion.__main__ import main
print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]))
"""
EVALUATION = {
    "kind": "eval",
    "step": 7,
    "mlm_loss": 2.5,
    "los_loss": 0.3,
    "los_auc": None,
    "los_base_rate": 0.1,
}
EVALUATION |= {
    f"{whose}top_{k}": k / 20 for whose in ("", "most_frequent_", "other_visits_") for k in (1, 5, 10)
}


def write(folder, name, content):
    with open(f"{folder}/{name}", "wb") as stream:
        stream.write(content)


def append(folder, name, text):
    with open(f"{folder}/{name}", "a") as stream:
        stream.write(text)


def test_small_cells(published_model):
    model = open_model(published_model)
    counts = {code: CodeCounts(11, 30) for code in model.codes}
    assert check_small_cells(model, counts, 11).passed
    few = check_small_cells(model, counts | {"ICD10CM//E00.9": CodeCounts(10, 30)}, 11)
    assert (few.passed, few.found["too_few"]) == (False, 1)
    del counts["ICD10CM//E00.9"]
    assert check_small_cells(model, counts, 11).found["uncounted"] == 1


def test_only_the_model_is_in_the_folder(published_model):
    model = open_model(published_model)
    assert check_files(model).passed
    write(published_model, "optimizer.pt", b"PK\x03\x04")
    write(published_model, "README.md", pickle.dumps({"a": 1}))
    os.symlink("/etc/hostname", f"{published_model}/los_head.py.bak")
    weights = f"{published_model}/model.safetensors"
    arrays = load_file(weights)
    save_file(arrays | {"patients": np.ones(3, np.float32)}, weights, metadata={"format": "pt", "by": "me"})
    problems = check_files(model).found["problems"]
    assert [problem.split()[0] for problem in problems] == [
        *("README.md", "los_head.py.bak", "optimizer.pt", "model.safetensors", "model.safetensors"),
    ]
    assert "has metadata ['__metadata__'" not in str(problems)
    assert "'by'" in problems[3] and "unknown patients" in problems[4]


def patients_named(write_sequences, *names):
    return open_patients(write_sequences({"train": {name: ([4], [1]) for name in names}}))[1]


def test_no_patients_id_and_no_date(published_model, write_sequences):
    model = open_model(published_model)
    patients = patients_named(write_sequences, "P0000017", "1234567", "777", "42")
    clean = check_patient_data(model, patients)
    assert (clean.passed, clean.found["ids_too_short"]) == (True, 2)
    append(published_model, "README.md", "\nSeen in P0000017, on 2019-03-01.\n")
    found = check_patient_data(model, patients).found
    assert (found["ids_found"], found["dates_found"]) == (1, 1)
    report = {"patient 1234567": 1234567, "size": 777}
    write(published_model, "conversion_report.json", json.dumps(report).encode())
    found = check_patient_data(model, patients).found
    assert found["ids_found"] == 2


def test_an_id_among_the_weights_is_found(published_model, write_sequences):
    model = open_model(published_model)
    weights = f"{published_model}/model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt", "made_for": "P0000017"})
    assert not check_patient_data(model, patients_named(write_sequences, "P0000017")).passed


def test_ids_that_cannot_be_looked_for_prove_nothing(published_model, write_sequences):
    assert not check_patient_data(
        open_model(published_model), patients_named(write_sequences, "1", "2")
    ).passed


def test_auc_is_sklearns_and_its_interval_holds_the_truth():
    rng = np.random.default_rng(0)
    lower, higher = rng.normal(0, 1, 300).round(1), rng.normal(0.3, 1, 200).round(1)
    auc = area_under_roc(lower, higher)
    right = roc_auc_score([0] * 300 + [1] * 200, np.concatenate([lower, higher]))
    assert auc.value == pytest.approx(right)
    covered = 0
    for _ in range(200):
        found = area_under_roc(rng.normal(0, 1, 60), rng.normal(0.3, 1, 40))
        covered += found.low <= 0.584 <= found.high  # Φ(0.3 / √2)
    assert 180 <= covered <= 199
    assert (area_under_roc(lower[:1], higher).low, area_under_roc(lower[:1], higher).high) == (0, 1)


def test_patients_whose_ids_are_other_codes_are_refused_before_any_check(
    published_model, write_shards, write_vocabulary, tmp_path
):
    """Their losses would be alike in both splits, which passes for a model that nobody can be told from."""
    codes = open_model(published_model).codes
    vocabulary = write_vocabulary("vocabulary", dict.fromkeys(reversed(codes), 11))
    for split in ("train", "test"):
        shards = write_shards(24, read_manifest(vocabulary, "vocabulary").fingerprint, split=split)
    config = ReleaseConfig(
        model=published_model,
        vocabulary=vocabulary,
        sequences=str(tmp_path),
        shards=os.path.dirname(shards),
        metrics=str(tmp_path),
    )
    with pytest.raises(ContractError, match="are other codes than in"):
        release_check(config, membership=lambda *_: pytest.fail("it was tried"))


def test_the_program_passes_a_model_and_refuses_one_that_knows_its_patients(
    publish_model, variables, write_shards, write_sequences, write_vocabulary, run_python, tmp_path
):
    """The model always guesses code 5: training patients have nothing else, held-out ones all but it."""
    variables["cls/predictions/output_bias"][5] = 50
    model = publish_model(variables)
    lengths = (3, 40, 1, 16)
    vocabulary = write_vocabulary("vocabulary", dict.fromkeys(open_model(model).codes, 11))
    fingerprint = read_manifest(vocabulary, "vocabulary").fingerprint
    for split, code in (("train", 5), ("valid", 5), ("test", 7)):
        token_ids = [[code] * length for length in lengths]
        shards = write_shards(24, fingerprint, split=split, token_ids=token_ids)
    (tmp_path / "metrics.jsonl").write_text(json.dumps(EVALUATION) + "\n")
    command = [
        *("release-check", "--model", model, "--vocabulary", vocabulary, "--shards", os.path.dirname(shards)),
        *("--sequences", write_sequences({"train": {"P0000017": ([5], [1])}})),
        *("--metrics", str(tmp_path / "metrics.jsonl")),
    ]
    assert run_python(RUN, json.dumps([[*command, "--max_auc", "1"], command])) == [0, 2]
    with open(f"{model}/release_report.json") as stream:
        report = json.load(stream)
    passed = {check["name"]: check["passed"] for check in report["checks"]}
    assert passed == {
        **{"small cells": True, "membership inference": False},
        **{"files": True, "patient data": True},
    }
    assert report["checks"][1]["found"]["auc"] == 1
    with open(f"{model}/README.md") as stream:
        card = stream.read()
    assert card.count("## Release checks: FAILED") == card.count("## Training data") == 1
    assert "| train | fewer than 11 |" in card
    assert "| this model | 5.0% | 25.0% | 50.0% |" in card
    assert f"vocabulary that they were written with: `{fingerprint[:16]}`" in card
    assert "## Intended use" in card
    open_model(model)  # the card is no part of the published content
