"""May a model folder be given away? Each check finds what it is for; the program writes card and report."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score

from conversion.extend_vocabulary import CodeCounts
from conversion.model_folder import open_model, publish_changed, write_changed
from conversion.patients.patient_files import open_patients
from conversion.release.checks import Check
from conversion.release.membership import area_under_roc
from conversion.release.patient_data import check_patient_data
from conversion.release.release_check import ReleaseConfig, ReleaseRefused, release_check
from conversion.release.small_cells import check_small_cells
from schemas.errors import ContractError
from schemas.manifest import publish_manifest, read_manifest
from schemas.sequences import KIND as SEQUENCES_KIND
from schemas.shards import KIND as SHARDS_KIND
from schemas.vocabulary import KIND as VOCABULARY_KIND

RUN = """
import json, sys
from conversion.__main__ import main
print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]))
"""
EVALUATION = {
    "kind": "eval",
    "step": 7,
    "patients": 303,
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


def patients_named(write_sequences, *names):
    return open_patients(write_sequences({"train": {name: ([4], [1]) for name in names}}))[1]


def test_no_patients_id_and_no_date(published_model, write_sequences):
    model = open_model(published_model)
    short = [str(number) for number in range(12)]
    patients = patients_named(write_sequences, "P0000017", "1234567", "MRN:00012345", "Müller42", *short)
    clean = check_patient_data(model, patients, {})
    assert clean.passed
    assert clean.found == {
        **{"ids": 20, "ids_found": 0, "dates_found": 0},
        **{"ids_too_short": 11, "ids_not_looked_for_in_weights": 11},
    }
    assert clean.in_words == (
        "0 of 20 patient ids and 0 dates found; 11 ids are too short to be looked for; "
        "11 could not be looked for among the weights' bytes"
    )
    append(published_model, "README.md", "\nSeen in P0000017, on 2019-03-01.\n")
    found = check_patient_data(model, patients, {}).found
    assert (found["ids_found"], found["dates_found"]) == (1, 1)
    report = {"patient 1234567": 1234567, "size": 777}
    write(published_model, "conversion_report.json", json.dumps(report).encode())
    assert check_patient_data(model, patients, {}).found["ids_found"] == 2
    drafts = {"README.md": "MRN:00012345 and Müller42", "release_report.json": '{"12": "M\\u00fcller42"}'}
    found = check_patient_data(model, patients, drafts).found
    assert (found["ids_found"], found["dates_found"]) == (3, 0)


def test_an_id_in_the_weights_file_is_found(published_model, write_sequences):
    model = open_model(published_model)
    weights = f"{published_model}/model.safetensors"
    arrays = load_file(weights)
    save_file(arrays, weights, metadata={"format": "pt", "made_for": "AB123"})
    names = "AB123", "P0000017", "P0000018"
    patients = patients_named(write_sequences, *names)
    assert check_patient_data(model, patients, {}).found["ids_found"] == 1
    some = next(iter(arrays.values()))
    some.reshape(-1)[:4] = np.frombuffer(b"P0000017P0000018", np.float32)
    save_file(arrays, weights, metadata={"format": "pt"})
    assert check_patient_data(model, patients, {}).found["ids_found"] == 2


@pytest.mark.parametrize("names", [("1", "2"), ("::::::::::",), ()])
def test_ids_that_cannot_be_looked_for_prove_nothing(published_model, write_sequences, names):
    patients = patients_named(write_sequences, *names)
    assert not check_patient_data(open_model(published_model), patients, {}).passed


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


@pytest.fixture
def release(published_model, write_shards, write_sequences, write_vocabulary, tmp_path):
    """release(**options): a release check of the tiny model that would pass; the membership test is given."""
    codes = open_model(published_model).codes
    vocabulary = write_vocabulary("vocabulary", dict.fromkeys(codes, 11))
    fingerprint = read_manifest(vocabulary, VOCABULARY_KIND).fingerprint
    for split in ("train", "valid", "test"):
        shards = write_shards(24, fingerprint, split=split)
    (tmp_path / "metrics.jsonl").write_text(json.dumps(EVALUATION) + "\n")
    options = {
        "model": published_model,
        "vocabulary": vocabulary,
        "shards": os.path.dirname(shards),
        "sequences": write_sequences({"train": {f"P{n:07}": ([5], [1]) for n in range(23)}}, fingerprint),
        "metrics": str(tmp_path / "metrics.jsonl"),
    }

    def check(membership=pass_it, **changes):
        return release_check(ReleaseConfig(**options | changes), membership=membership)

    return check


def verdicts(folder):
    """Of the card and of the report: passed, failed, or None."""
    with open(f"{folder}/README.md") as stream:
        card = stream.read()
    on_card = {True: "passed", False: None}["## Release checks: passed" in card]
    on_card = "failed" if "## Release checks: FAILED" in card else on_card
    if not os.path.exists(f"{folder}/release_report.json"):
        return on_card, None
    with open(f"{folder}/release_report.json") as stream:
        return on_card, "passed" if json.load(stream)["passed"] else "failed"


def pass_it(*_):
    return Check("membership inference", True, "0.5", {})


def fail_it(*_):
    return Check("membership inference", False, "0.9", {})


def killed(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["membership", "scan", "README.md", "release_report.json"])
@pytest.mark.parametrize("before", ["passed", "failed"])
def test_a_check_that_is_killed_leaves_no_verdict(
    published_model, release, monkeypatch, kill_writes, place, before
):
    if before == "passed":
        release()
    else:
        with pytest.raises(ReleaseRefused):
            release(fail_it)
    assert verdicts(published_model) == (before, before)
    if place == "scan":
        monkeypatch.setattr("conversion.release.release_check.check_patient_data", killed)
    elif place != "membership":
        kill_writes(place)
    with pytest.raises(KeyboardInterrupt):
        release(killed if place == "membership" else fail_it if before == "passed" else pass_it)
    # A kill at the first write, which takes the verdict off the card: nothing was checked yet.
    assert verdicts(published_model) == ((before, before) if place == "README.md" else (None, None))
    open_model(published_model)


def test_what_is_missing_is_said_before_a_verdict_is_touched(published_model, release, tmp_path):
    release()
    shards = str(tmp_path / "run" / "shards" / "train")
    for change in (
        {"sequences": str(tmp_path / "gone")},
        {"sequences": shards},
        {"metrics": str(tmp_path / "gone.jsonl")},
    ):
        with pytest.raises(ContractError):
            release(killed, **change)
    assert verdicts(published_model) == ("passed", "passed")


def test_a_changed_model_was_not_checked(published_model, release, tmp_path):
    release()
    model, changed = open_model(published_model), str(tmp_path / "changed")
    os.mkdir(changed)
    write_changed(changed, model, model.read_arrays(), model.tokens, model.special)
    publish_changed(changed, model, model.special, {"change": "none"}, "## The change\n", {}, ())
    assert verdicts(changed) == (None, None)
    with open(f"{changed}/README.md") as stream:
        card = stream.read()
    assert "## Intended use" in card and "## The change" in card and "release check:" not in card


def test_nothing_that_is_given_away_counts_a_small_group(published_model, release, tmp_path):
    small = EVALUATION | {"los_base_rate": 3 / 303, "los_auc": 0.71}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(small) + '\n{"kind": "tra')
    report = release()
    assert report["evaluation"]["patients"] == 300
    with open(f"{published_model}/release_report.json") as stream:
        assert json.load(stream) == report
    with open(f"{published_model}/README.md") as stream:
        card = stream.read()
    assert "on 300 patients of the valid split" in card
    assert "Prolonged stay: too few patients to tell." in card
    assert "0 of 20 patient ids" in card
    assert not any(
        exact in text for exact in ("303", "0.0099", "1.0%", " 23 ") for text in (card, str(report))
    )


def test_a_pass_says_what_was_not_compared(published_model, release):
    report = release()
    not_compared = [what for check in report["checks"] for what in check["not_compared"]]
    assert "the values of the weights" in not_compared
    assert "whether the ids are of the patients in the shards" in not_compared  # these shards do not say
    with open(f"{published_model}/README.md") as stream:
        assert f"\nNot compared with anything: {'; '.join(not_compared)}.\n" in stream.read()


def test_ids_are_looked_for_of_the_patients_in_the_shards(published_model, release, tmp_path):
    sequences = read_manifest(str(tmp_path / "sequences"), SEQUENCES_KIND)
    folders = [str(tmp_path / "run" / "shards" / split) for split in ("train", "test")]

    def state(fingerprint):
        for folder in folders:
            shards = read_manifest(folder, SHARDS_KIND)
            inputs = {**shards.inputs, SEQUENCES_KIND: fingerprint}
            publish_manifest(folder, replace(shards, inputs=inputs))

    state(sequences.fingerprint)
    checks = release()["checks"]
    assert "whether the ids are of the patients in the shards" not in checks[-1]["not_compared"]
    state("0" * 64)
    with pytest.raises(ContractError, match="was not written from"):
        release(killed)
    assert verdicts(published_model) == ("passed", "passed")


def test_a_card_that_is_no_text_is_refused(published_model, release):
    write(published_model, "README.md", b"\xff\xfe\x00")
    with pytest.raises(ContractError, match=r"README.md line 1 is not text in UTF-8"):
        release(killed)


def test_an_id_behind_a_key_that_is_there_twice_is_found(published_model, write_sequences):
    patients = patients_named(write_sequences, "P0000017")
    write(published_model, "conversion_report.json", b'{"a": "P0000017", "a": "b"}')
    assert check_patient_data(open_model(published_model), patients, {}).found["ids_found"] == 1
    write(published_model, "conversion_report.json", b'{"a": P0000017')
    assert check_patient_data(open_model(published_model), patients, {}).found["ids_found"] == 1


def test_the_accuracy_of_a_model_without_a_run_is_not_known(published_model, release):
    assert release(metrics=None)["evaluation"] is None
    with open(f"{published_model}/README.md") as stream:
        assert "## Accuracy\n\nNot known: " in stream.read()
    assert verdicts(published_model) == ("passed", "passed")


def test_patients_whose_ids_are_other_codes_are_refused_before_any_check(
    published_model, write_shards, write_vocabulary, tmp_path
):
    """Their losses would be alike in both splits, which passes for a model that nobody can be told from."""
    codes = open_model(published_model).codes
    vocabulary = write_vocabulary("vocabulary", dict.fromkeys(reversed(codes), 11))
    for split in ("train", "test"):
        shards = write_shards(24, read_manifest(vocabulary, VOCABULARY_KIND).fingerprint, split=split)
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
    fingerprint = read_manifest(vocabulary, VOCABULARY_KIND).fingerprint
    for split, code in (("train", 5), ("valid", 5), ("test", 7)):
        token_ids = [[code] * length for length in lengths]
        shards = write_shards(24, fingerprint, split=split, token_ids=token_ids)
    (tmp_path / "metrics.jsonl").write_text(json.dumps(EVALUATION) + "\n")
    command = [
        *("release-check", "--model", model, "--vocabulary", vocabulary, "--shards", os.path.dirname(shards)),
        *("--sequences", write_sequences({"train": {"P0000017": ([5], [1])}}, fingerprint)),
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
