"""A run that was lost goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from schemas.checkpoint import latest_checkpoint, list_checkpoints
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, ManifestFile, describe_file, join, publish_manifest
from schemas.model import KIND as MODEL_KIND
from schemas.model import TOKENIZER_FILE
from schemas.training_log import CONFIG_FILE, METRICS_FILE
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS
from tests.trainer.runs import read_log, run_ranks
from tests.trainer.shard_files import random_patients, write_split, write_vocabulary
from trainer.config import MaskingConfig, ModelConfig


class Lost(BaseException):
    """The process dies here."""


def lose_at(lost_step):
    def before_step(step, backend):
        if step == lost_step:
            raise Lost

    return before_step


def losses(config):
    return [(line["step"], line["mlm_loss"], line["los_loss"]) for line in read_log(config, "train")]


def metrics_of(config, kind):
    timings = ("patients_per_second", "codes_per_second", "input_wait", "seconds")
    return [{k: v for k, v in line.items() if k not in timings} for line in read_log(config, kind)]


@pytest.fixture
def undisturbed(make_config, tmp_path):
    """The configuration of a finished run of 40 steps, over more than one epoch."""
    config = make_config(steps=40, output=str(tmp_path / "undisturbed"))
    run_ranks(config, 2)
    return config


@pytest.mark.parametrize("lost_steps", [[1], [10], [11], [25], [13, 27, 40]])
def test_every_later_loss_is_that_of_an_undisturbed_run(undisturbed, tmp_path, lost_steps):
    config = replace(undisturbed, output=str(tmp_path / "disturbed"))
    for lost_step in lost_steps:
        with pytest.raises(Lost):
            run_ranks(config, 2, before_step=lose_at(lost_step))
    run_ranks(config, 2)
    assert losses(config) == losses(undisturbed)
    for kind in ("train", "eval", "checkpoint"):
        assert metrics_of(config, kind) == metrics_of(undisturbed, kind)


def test_means_over_an_interval_survive_too(make_config, tmp_path):
    whole = make_config(steps=30, log_every=7, output=str(tmp_path / "whole"))
    broken = replace(whole, output=str(tmp_path / "broken"))
    run_ranks(whole)
    with pytest.raises(Lost):
        run_ranks(broken, before_step=lose_at(18))
    run_ranks(broken)
    assert metrics_of(broken, "train") == metrics_of(whole, "train")


def test_another_world_size_sees_each_patient_of_the_epoch_once(make_config):
    # 400 patients in steps of 2 × 16: steps 1 to 10 see 320 of them; three ranks see the other 80 in 2 steps.
    config = make_config(steps=12, checkpoint_every=5)
    rows = []

    def remember(step, backend):
        if step == 6:
            raise Lost

    with pytest.raises(Lost):
        run_ranks(config, 2, before_step=remember)
    assert read_log(config, "train")[-1]["patients_seen"] == 160
    backends = run_ranks(config, 3)
    for backend in backends:
        rows += [batch.patients.num_patients for step, batch, _ in backend.seen if step <= 10]
    # The other 240 patients take ceil(80 / 16) = 5 steps of three ranks.
    assert sum(rows) == 240
    assert read_log(config, "train")[9]["epoch"] == 0 and read_log(config, "train")[10]["epoch"] == 1


def test_the_newest_are_kept_and_no_more(make_config):
    config = make_config(steps=30, checkpoint_every=4, keep_checkpoints=2)
    run_ranks(config)
    assert [step for step, _ in list_checkpoints(config.output)] == [28, 30]
    assert latest_checkpoint(config.output).step == 30


def test_an_unfinished_checkpoint_is_skipped_and_a_damaged_one_too(undisturbed, tmp_path, caplog):
    config = replace(undisturbed, output=str(tmp_path / "disturbed"))
    shutil.copytree(undisturbed.output, config.output)
    folder = join(config.output, "checkpoints")
    os.remove(join(folder, "step-00000040", MANIFEST_NAME))
    with open(join(folder, "step-00000030", "weights.npz"), "r+b") as stream:
        stream.seek(100)
        stream.write(b"damage")
    run_ranks(config, 2)
    assert "step-00000040 was not finished" in caplog.text
    assert "step-00000030 is damaged" in caplog.text
    assert losses(config) == losses(undisturbed)
    assert [line["step"] for line in read_log(config, "start")] == [0, 20]


def test_a_line_that_was_cut_off_goes(undisturbed, tmp_path):
    config = replace(undisturbed, output=str(tmp_path / "disturbed"), steps=40)
    shutil.copytree(undisturbed.output, config.output)
    shutil.rmtree(join(config.output, "checkpoints", "step-00000040"))
    with open(join(config.output, METRICS_FILE), "ab") as stream:
        stream.write(b'{"kind": "train", "st')
    run_ranks(config, 2)
    assert losses(config) == losses(undisturbed)


def test_a_finished_run_is_left_alone(undisturbed, caplog):
    before = read_log(undisturbed)
    caplog.set_level("INFO")
    run_ranks(undisturbed, 2)
    assert "already trained to step 40" in caplog.text
    assert read_log(undisturbed) == before


def test_tensorboard_has_each_step_once(make_config):
    config = make_config(steps=25)
    with pytest.raises(Lost):
        run_ranks(config, before_step=lose_at(18))
    run_ranks(config)
    events = EventAccumulator(join(config.output, "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    scalars = events.Scalars("train/mlm_loss")
    assert [event.step for event in scalars] == list(range(1, 26))
    assert [event.value for event in scalars] == pytest.approx(
        [loss for _, loss, _ in losses(config)], rel=1e-6
    )
    assert [event.step for event in events.Scalars("eval/top_10")] == [15, 25]


def test_tensorboard_has_every_number_of_the_log(make_config):
    config = make_config(steps=3)
    run_ranks(config)
    events = EventAccumulator(join(config.output, "tensorboard"))
    events.Reload()
    (train, *_), (evaluation,) = read_log(config, "train"), read_log(config, "eval")
    names = [f"{line['kind']}/{name}" for line in (train, evaluation) for name in line]
    assert sorted(events.Tags()["scalars"]) == sorted(set(names) - TEXTS)
    assert {"train/codes_per_second", "train/input_wait", "eval/los_auc"} <= set(names)


TEXTS = {"train/kind", "train/step", "eval/kind", "eval/step"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 5}, "the seed was 0, now is 5"),
        (
            {"model": ModelConfig(hidden_size=24, num_hidden_layers=1, max_position_embeddings=64)},
            "model.hidden_size was 12, now is 24",
        ),
    ],
)
def test_another_run_is_refused_by_the_name_of_what_differs(make_config, change, name):
    config = make_config(steps=10)
    run_ranks(config)
    with pytest.raises(ContractError, match=name):
        run_ranks(make_config(steps=20, **change), 2)
    with open(join(config.output, CONFIG_FILE)) as stream:
        assert json.load(stream) == asdict(config)


def test_other_shards_and_another_vocabulary_are_refused(make_config, tmp_path):
    run_ranks(make_config(steps=10))
    fingerprint = write_vocabulary(str(tmp_path / "vocabulary"), num_codes=41)
    for name in ("train", "valid"):
        write_split(
            str(tmp_path / "shards" / name),
            [random_patients(50)],
            vocabulary_fingerprint=fingerprint,
            vocabulary_size=45,
        )
    other = make_config(steps=20, shards=str(tmp_path / "shards"), vocabulary=str(tmp_path / "vocabulary"))
    with pytest.raises(ContractError) as refused:
        run_ranks(other)
    for name in ("the vocabulary was", "the shards was", "model.vocab_size was 44, now is 45"):
        assert name in str(refused.value)


def test_other_options_may_change_and_it_is_said(make_config, caplog):
    run_ranks(make_config(steps=10))
    config = make_config(steps=20, learning_rate=0.1, masking=MaskingConfig(codes_per_patient=1))
    run_ranks(config)
    assert "optimizer.learning_rate was 0.3 and now is 0.1" in caplog.text
    assert "masking.codes_per_patient was None and now is 1" in caplog.text
    assert losses(config)[-1][0] == 20


def test_weights_of_another_run_start_a_new_one(make_config, tmp_path):
    first = make_config(steps=60, eval_every=60, checkpoint_every=60)
    run_ranks(first)
    source = latest_checkpoint(first.output).uri
    second = replace(first, steps=1, output=str(tmp_path / "second"), init_checkpoint=source)
    (backend,) = run_ranks(second)
    # The first update has a rate of 0, as in BERT, so the weights are still those of the first run.
    with np.load(join(source, "weights.npz")) as arrays:
        np.testing.assert_array_equal(backend.weights["in"], arrays["in"])
    assert read_log(second, "eval")[0]["mlm_loss"] == read_log(first, "eval")[0]["mlm_loss"]


def test_a_model_folder_starts_a_run_of_its_tokens(make_config, tmp_path):
    first = make_config(steps=1)
    run_ranks(first)
    model = tmp_path / "model"
    shutil.copytree(latest_checkpoint(first.output).uri, model)
    (model / TOKENIZER_FILE).write_text("{}")
    (model / MANIFEST_NAME).unlink()
    files = tuple(describe_file(str(model), path.name, 0) for path in sorted(model.iterdir()))
    details = {"special_tokens": asdict(STANDARD_SPECIAL_TOKENS)}
    publish_manifest(str(model), Manifest(MODEL_KIND, files=files, details=details))
    second = replace(first, output=str(tmp_path / "second"), init_checkpoint=str(model))
    (backend,) = run_ranks(second)
    with np.load(model / "weights.npz") as arrays:
        assert backend.weights["in"].shape == arrays["in"].shape
    (model / "vocab.txt").write_text("[PAD]\nother\n")
    with pytest.raises(ContractError, match=r"vocab\.txt is not the file that was published"):
        run_ranks(replace(second, output=str(tmp_path / "changed")))
    (model / MANIFEST_NAME).unlink()
    with pytest.raises(ContractError, match="has other tokens than"):
        run_ranks(replace(second, output=str(tmp_path / "third")))


def test_a_folder_that_transformers_saved_starts_a_run_of_its_tokens(make_config, tmp_path):
    first = make_config(steps=1)
    run_ranks(first)
    model = tmp_path / "model"
    shutil.copytree(latest_checkpoint(first.output).uri, model)
    tokens = (model / "vocab.txt").read_text().split()
    for name in (MANIFEST_NAME, "vocab.txt"):
        (model / name).unlink()
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    special = [{"id": ids.pop(token), "content": token} for token in tokens[:2]]
    tokenizer = {"model": {"type": "WordLevel", "vocab": ids}, "added_tokens": special}
    (model / TOKENIZER_FILE).write_text(json.dumps(tokenizer))
    second = replace(first, output=str(tmp_path / "second"), init_checkpoint=str(model))
    run_ranks(second)
    assert latest_checkpoint(second.output).step == 1
    for text, message in (
        (json.dumps(tokenizer | {"added_tokens": []}), "has no ids from 0 on"),
        (json.dumps({"model": {"vocab": {"[PAD]": 0, "other": 1}}}), "has other tokens than"),
        ("{}", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"model": {"vocab": [["[PAD]", 0.0]]}}', "cannot be read"),
    ):
        (model / TOKENIZER_FILE).write_text(text)
        with pytest.raises(ContractError, match=message):
            run_ranks(replace(second, output=str(tmp_path / "third")))


@pytest.mark.parametrize(("name", "value"), [("num_attention_heads", 1), ("hidden_act", "relu")])
@pytest.mark.parametrize("published", [True, False])
def test_weights_of_another_network_of_the_same_shapes_are_refused(
    make_config, tmp_path, name, value, published
):
    first = make_config(steps=1)
    run_ranks(first)
    source = tmp_path / "source"
    shutil.copytree(latest_checkpoint(first.output).uri, source)
    path = source / "config.json"
    plain = json.loads(path.read_text())
    assert plain[name] != value
    path.write_text(json.dumps(plain | {name: value}))
    if published:
        manifest = Manifest.from_json((source / MANIFEST_NAME).read_text(), "checkpoint", "test")
        files = tuple(describe_file(str(source), file.path, file.rows) for file in manifest.files)
        publish_manifest(str(source), replace(manifest, files=files))
    else:
        (source / MANIFEST_NAME).unlink()
        (source / TOKENIZER_FILE).touch()
    second = replace(first, output=str(tmp_path / "second"), init_checkpoint=str(source))
    with pytest.raises(ContractError, match=f"states {name} {value}, and this run has {plain[name]}"):
        run_ranks(second)


def test_weights_of_another_vocabulary_are_refused(make_config, tmp_path):
    first = make_config(steps=1)
    run_ranks(first)
    source = latest_checkpoint(first.output).uri
    manifest = join(source, MANIFEST_NAME)
    with open(manifest) as stream:
        plain = json.load(stream)
    del plain["fingerprint"]
    known = {
        name: plain.pop(name) for name in ("kind", "version", "created_by", "parameters", "inputs", "counts")
    }
    files = tuple(ManifestFile(**entry) for entry in plain.pop("files"))
    publish_manifest(
        source, Manifest(**known, files=files, details={**plain, "vocabulary_fingerprint": "0" * 64})
    )
    second = replace(first, output=str(tmp_path / "second"), init_checkpoint=source)
    with pytest.raises(ContractError, match="was trained with vocabulary 0000"):
        run_ranks(second)
