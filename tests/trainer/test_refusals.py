"""What a run refuses, before it trains or while it does: the value, the rule, the remedy; on every rank."""

from __future__ import annotations

import errno
import math
import os
import shutil

import pytest

from schemas.checkpoint import list_checkpoints
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join
from tests.trainer.runs import read_log, run_ranks
from tests.trainer.shard_files import Patient, random_patients, write_split
from trainer.config import MaskingConfig, ModelConfig, OptimizerConfig
from trainer.core.storage import NoAnswer
from trainer.core.together import OtherRankFailed
from trainer.core.writing import CannotWrite, writing


def write_both(root, data_set, train, valid):
    for name, parts in (("train", train), ("valid", valid)):
        write_split(join(str(root), name), parts, vocabulary_fingerprint=data_set.fingerprint)
    return str(root)


def test_no_training_patients(make_config, data_set, tmp_path):
    shards = write_both(tmp_path / "shards", data_set, [], [random_patients(3)])
    with pytest.raises(ContractError, match=r"train has no patients.*Remedy.*MIN_CODES.*MIN_PATIENTS"):
        run_ranks(make_config(shards=shards))


def test_empty_training_shards(make_config, data_set, tmp_path):
    shards = write_both(tmp_path / "shards", data_set, [[], []], [random_patients(3)])
    with pytest.raises(ContractError, match="has no patients"):
        run_ranks(make_config(shards=shards))


@pytest.mark.parametrize("valid", [[], [[]]])
def test_no_valid_patients_is_a_warning(make_config, data_set, tmp_path, caplog, valid):
    shards = write_both(tmp_path / "shards", data_set, [random_patients(30)], valid)
    config = make_config(shards=shards, steps=4)
    run_ranks(config, 2)
    assert "valid has no patients: nothing is evaluated" in caplog.text
    assert read_log(config, "eval") == []
    assert len(read_log(config, "train")) == 4


def test_a_single_patient_and_more_ranks(make_config, data_set, tmp_path):
    shards = write_both(
        tmp_path / "shards", data_set, [[Patient([5, 6, 7], [1, 1, 2], 1)]], [[Patient([5], [1], 0)]]
    )
    config = make_config(shards=shards, steps=3)
    run_ranks(config, 3)
    assert read_log(config, "train")[-1]["patients_seen"] == 3
    assert read_log(config, "eval")[-1]["los_auc"] is None


def test_more_visits_than_the_model_has(make_config, data_set, tmp_path):
    shards = write_both(
        tmp_path / "shards", data_set, [[Patient(list(range(5, 25)), list(range(1, 21)), 0)]], []
    )
    small = ModelConfig(hidden_size=12, num_hidden_layers=1, max_position_embeddings=64, type_vocab_size=20)
    with pytest.raises(ContractError, match=r"20 visits.*model\.type_vocab_size, which is 20.*to 21 or more"):
        run_ranks(make_config(shards=shards, model=small))
    run_ranks(make_config(shards=shards, model=small, max_seq_length=19, steps=2))


def test_shards_of_another_vocabulary(make_config, tmp_path):
    for name in ("train", "valid"):
        write_split(
            str(tmp_path / "shards" / name),
            [random_patients(5)],
            vocabulary_fingerprint="0" * 64,
            vocabulary_size=50,
        )
    with pytest.raises(ContractError, match=r"vocabulary 000000000000… of 50 tokens"):
        run_ranks(make_config(shards=str(tmp_path / "shards")))


@pytest.mark.parametrize("missing", ["train", "valid", "vocabulary"])
def test_a_folder_without_manifest(make_config, data_set, tmp_path, missing):
    shutil.copytree(data_set.shards, tmp_path / "shards")
    shutil.copytree(data_set.vocabulary, tmp_path / "vocabulary")
    folder = tmp_path / "vocabulary" if missing == "vocabulary" else tmp_path / "shards" / missing
    os.remove(folder / MANIFEST_NAME)
    config = make_config(shards=str(tmp_path / "shards"), vocabulary=str(tmp_path / "vocabulary"))
    with pytest.raises(ContractError, match=f"{missing} has no manifest.json"):
        run_ranks(config)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_shard_that_cannot_be_read_stops_every_rank(make_config, data_set, tmp_path, split):
    shutil.copytree(data_set.shards, tmp_path / "shards")
    path = tmp_path / "shards" / split / "part-00001.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    config = make_config(shards=str(tmp_path / "shards"), steps=60, eval_every=1)
    with pytest.raises(ContractError, match=f"{split}/part-00001.parquet"):
        run_ranks(config, 2)
    assert set(run_ranks.errors) == {0, 1}
    assert {type(error) for error in run_ranks.errors.values()} <= {ContractError, OtherRankFailed}


def test_a_disk_that_fills_up_keeps_the_checkpoint_before(make_config, monkeypatch):
    from trainer.core import checkpoints

    def full(uri, manifest):
        raise OSError(28, "No space left on device")

    def fill(step, backend):
        if step == 11:
            monkeypatch.setattr(checkpoints, "publish_manifest", full)

    config = make_config()
    with pytest.raises(CannotWrite, match=r"step-00000020 cannot be written: No space left.*make room"):
        run_ranks(config, 2, before_step=fill)
    assert {type(error) for error in run_ranks.errors.values()} == {CannotWrite, OtherRankFailed}
    assert [step for step, _ in list_checkpoints(config.output)] == [10]
    monkeypatch.undo()
    run_ranks(config, 2)
    assert [line["step"] for line in read_log(config, "start")] == [0, 10]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"max_seq_length": 65}, "data.max_seq_length is 65"),
        ({"max_seq_length": 0}, "data.max_seq_length is 0"),
        ({"steps": 0}, "steps is 0"),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0"),
        ({"keep_best": -1}, "keep_best is -1"),
        ({"max_slots": 0}, "max_slots is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"eval_patients": -5}, "eval_patients is -5"),
        ({"eval_patients": 0}, r"eval_patients is 0\. Rule: it is at least 1, or null"),
    ],
)
def test_options_out_of_range(make_config, fields, rule):
    with pytest.raises(ContractError, match=rule):
        make_config(**fields)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("learning_rate", [0.0, -1.0, math.nan, math.inf]),
        ("epsilon", [0.0]),
        ("clip_norm", [0.0, -1.0]),
        ("beta_1", [1.0, 1.5, -0.1, math.nan]),
        ("beta_2", [1.0]),
        ("weight_decay", [-0.1, math.nan]),
        ("warmup_steps", [-3]),
    ],
)
def test_optimizer_options_out_of_range(name, values):
    for value in values:
        with pytest.raises(ContractError, match=rf"optimizer\.{name} is {value}\. Rule: .*choose e\.g\. "):
            OptimizerConfig(**{name: value})


def test_an_optimizer_without_warm_up_decay_or_momentum_is_one():
    OptimizerConfig(warmup_steps=0, weight_decay=0.0, beta_1=0.0)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "make room"),
        (PermissionError(errno.EACCES, "Permission denied"), "let this user write there"),
        (PermissionError("Access Denied"), "let this user write there"),
        (OSError(errno.EROFS, "Read-only file system"), "let this user write there"),
        (NoAnswer("timeout (the last of 5 tries)"), "see that it can be written"),
    ],
)
def test_what_cannot_be_written_names_the_remedy_for_it(error, remedy):
    with pytest.raises(CannotWrite, match=rf"run cannot be written: .*Remedy: {remedy}"), writing("run"):
        raise error


@pytest.mark.parametrize(
    "fields", [{"rate": 0}, {"rate": 1.1}, {"codes_per_patient": 0}, {"mask_share": 0.9, "random_share": 0.2}]
)
def test_masking_options_out_of_range(fields):
    with pytest.raises(ContractError, match="masking"):
        MaskingConfig(**fields)
