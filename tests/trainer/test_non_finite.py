"""A value that is not finite stops every rank before the update, and is traced to its patients."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from schemas.checkpoint import KIND, TORCH_MODEL_FILE, list_checkpoints
from schemas.manifest import join
from schemas.training_log import METRICS_FILE
from tests.published import publish_again
from tests.trainer.processes import finish, losses, start
from tests.trainer.runs import read_log, run_ranks
from tests.trainer.shard_files import Patient, random_patients, write_split
from trainer.core.non_finite import Finding, NotFinite
from trainer.exit_codes import USER_ERROR
from trainer.readers import open_reader

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered", "ignore:overflow encountered")


def spoil_at(lost_step, spoil, ranks=(0, 1)):
    def before_step(step, backend):
        if step == lost_step and backend._world.rank in ranks:
            spoil(backend)

    return before_step


def all_weights(backend):
    backend.weights["los"][:] = float("nan")


def one_code(backend):
    """Code 44 is the last of the vocabulary; only one patient has it."""
    backend.weights["in"][43] = float("nan")


def test_every_rank_stops_before_the_update_with_the_same_words(make_config):
    config = make_config()
    with pytest.raises(NotFinite, match=r"step 12 gave a value that is not finite \(rank 1: part-000"):
        run_ranks(config, 2, before_step=spoil_at(12, all_weights, ranks=(1,)))
    errors = run_ranks.errors
    assert {type(error) for error in errors.values()} == {NotFinite}
    assert str(errors[0]) == str(errors[1])
    assert "--detect_anomaly" in str(errors[0])
    assert read_log(config, "train")[-1]["step"] == 11
    (finding,) = errors[0].findings
    assert sum(map(len, finding.rows.values())) == config.batch_size
    stop = read_log(config)[-1]
    assert (stop["kind"], stop["step"], stop["reason"]) == ("stop", 11, "not finite")
    assert stop["found"] == [{"rank": 1, "rows": finding.rows, "anomaly": None}]


def test_all_ranks_that_are_bad_are_named(make_config):
    config = make_config(detect_anomaly=True)
    with pytest.raises(NotFinite) as stopped:
        run_ranks(config, 3, before_step=spoil_at(2, all_weights, ranks=(0, 2)))
    assert [finding.rank for finding in stopped.value.findings] == [0, 2]
    assert {finding.anomaly for finding in stopped.value.findings} == {"weight los"}
    assert "--detect_anomaly" not in str(stopped.value)


def test_the_patient_is_found(make_config, data_set, tmp_path):
    """Of 120 patients in three shards, one has the code whose embedding is bad."""
    patients = [
        replace(patient, token_ids=[min(token, 42) for token in patient.token_ids])
        for patient in random_patients(120, seed=3)
    ]
    # Twice the bad code: one of them is visible whichever is masked.
    patients[77] = Patient([43, 43, 5], [1, 2, 3], 0)
    shards = str(tmp_path / "shards")
    parts = [patients[:50], [], patients[50:80], patients[80:]]
    write_split(join(shards, "train"), parts, vocabulary_fingerprint=data_set.fingerprint)
    write_split(join(shards, "valid"), [patients[:5]], vocabulary_fingerprint=data_set.fingerprint)
    config = make_config(shards=shards, steps=4, checkpoint_every=100, eval_every=100)
    with pytest.raises(NotFinite) as stopped:
        run_ranks(config, 2, before_step=spoil_at(1, one_code))
    (finding,) = stopped.value.findings
    assert finding.rows == {"part-00002.parquet": [27]}


def test_a_finite_part_of_each_rank_is_said_to_be_so():
    assert "in the sum over ranks; each rank's own part is finite" in str(NotFinite(3, [], "run"))


def test_of_many_rows_the_first_are_shown():
    assert str(Finding(1, {"a": [4]}, None)) == "rank 1: a row 4"
    shown = str(Finding(1, {"a": range(30), "b": [1, 2]}, "why"))
    assert shown.endswith("18, 19 and 10 more; b rows 1, 2, why")


def test_rows_are_located_in_their_files(data_set):
    reader = open_reader("arrow", join(data_set.shards, "train"))
    # Shards of 100, 120, 0, 80 and 100 rows.
    assert reader.locate(np.array([399, 0, 220, 99, 219, 100])) == {
        "part-00000.parquet": [0, 99],
        "part-00001.parquet": [0, 119],
        "part-00003.parquet": [0],
        "part-00004.parquet": [99],
    }
    assert reader.locate(np.array([], np.int64)) == {}


@pytest.mark.horovod
def test_two_real_ranks_stop_for_the_patient_of_one(data_set, tmp_path):
    """Only one patient has a twelfth visit, and the weights of visit 12 are no numbers."""
    patients = [
        replace(patient, visit_numbers=[min(visit, 9) for visit in patient.visit_numbers])
        for patient in random_patients(90)
    ]
    patients[70] = Patient([5, 6, 7, 8, 9], [1, 4, 9, 11, 12], 1)
    shards, first = str(tmp_path / "shards"), str(tmp_path / "first")
    for name, parts in (("train", [patients[:40], patients[40:]]), ("valid", [patients[:6]])):
        write_split(join(shards, name), parts, vocabulary_fingerprint=data_set.fingerprint)
    data = replace(data_set, shards=shards)
    finish(start(data, first, "torch", 1, steps=1))
    checkpoint = list_checkpoints(first)[0][1]
    weights = load_file(join(checkpoint, TORCH_MODEL_FILE))
    weights["bert.embeddings.token_type_embeddings.weight"][12] = np.nan
    save_file(weights, join(checkpoint, TORCH_MODEL_FILE), metadata={"format": "pt"})
    publish_again(checkpoint, KIND, TORCH_MODEL_FILE)

    output = str(tmp_path / "run")
    options = {"init_checkpoint": checkpoint, "detect_anomaly": True, "batch_size": 8}
    said = finish(start(data, output, "torch", 2, **options), USER_ERROR)
    words = (
        "part-00001.parquet row 30, a weight is not finite before the step: bert/embeddings/token_type_emb"
    )
    assert said.count(words) == 2  # on both ranks
    with open(join(output, METRICS_FILE)) as stream:
        stop = json.loads(stream.readlines()[-1])
    assert stop["reason"] == "not finite"
    assert stop["found"][0]["rows"] == {"part-00001.parquet": [30]}
    assert [step for step, *_ in losses(output)] == list(range(1, stop["step"] + 1))
    assert stop["step"] < 6  # an epoch
