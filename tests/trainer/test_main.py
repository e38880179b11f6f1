"""The command line, and what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from schemas.manifest import join
from trainer import __main__ as command
from trainer import pretrain
from trainer.config import PretrainConfig


@pytest.fixture
def parsed(monkeypatch):
    """The configuration that a command line gives, instead of a run of it."""
    seen = []
    monkeypatch.setattr(pretrain, "main", seen.append)

    def parse(*arguments):
        assert command.main(["pretrain", *arguments]) == 0
        return seen[-1]

    return parse


REQUIRED = ("--data.shards", "s", "--data.vocabulary", "v", "--output", "o")


def test_options_come_from_the_preset_and_the_command_line_wins(parsed, tmp_path):
    preset = tmp_path / "preset.yaml"
    preset.write_text(yaml.safe_dump({"steps": 7, "data": {"max_seq_length": 99}, "masking": {"rate": 0.5}}))
    config = parsed("--config", str(preset), *REQUIRED, "--steps", "8", "--backend", "tensorflow")
    assert isinstance(config, PretrainConfig)
    assert (config.steps, config.data.max_seq_length, config.masking.rate) == (8, 99, 0.5)
    assert (config.backend, config.data.shards, config.output) == ("tensorflow", "s", "o")


@pytest.mark.parametrize("name", ["demo", "base", "med-bert-2020", "large-batch"])
def test_presets_are_complete_but_for_the_paths(parsed, project_root, name):
    path = join(project_root, "configs", f"{name}.yaml")
    config = parsed("--config", path, *REQUIRED)
    assert config.data.max_seq_length <= config.model.max_position_embeddings
    if config.patients is None:
        assert config.optimizer.warmup_steps < config.steps
    else:
        assert config.optimizer.warmup_patients is not None
        assert config.optimizer.warmup_patients < config.patients


def test_the_papers_recipe(parsed, project_root):
    config = parsed("--config", join(project_root, "configs", "med-bert-2020.yaml"), *REQUIRED)
    assert config.masking.codes_per_patient == 1
    assert (config.batch_size, config.data.max_seq_length) == (32, 512)
    assert (config.optimizer.learning_rate, config.optimizer.warmup_steps) == (5e-5, 10_000)
    model = config.model.bert_config(82_603)
    assert (model.hidden_size, model.num_hidden_layers, model.num_attention_heads) == (192, 6, 6)
    assert (model.intermediate_size, model.type_vocab_size) == (64, 1000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (REQUIRED[:4], "output"),
        ((*REQUIRED, "--steps", "many"), "steps"),
        ((*REQUIRED, "--data.reader", "csv"), "reader"),
        ((*REQUIRED, "--no_such_option", "1"), "no_such_option"),
    ],
)
def test_a_wrong_option_is_named(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        command.main(["pretrain", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_broken_contract_is_one_message_and_code_2(capsys, tmp_path):
    arguments = ["--data.shards", "s", "--data.vocabulary", str(tmp_path), "--output", str(tmp_path / "o")]
    assert command.main(["pretrain", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "has no manifest.json" in message and "Remedy: " in message
    assert "Traceback" not in message


def test_options_that_clash_are_one_message_and_code_2(capsys):
    assert command.main(["pretrain", *REQUIRED, "--data.max_seq_length", "1000"]) == 2
    assert "error: data.max_seq_length is 1000" in capsys.readouterr().err


def test_one_process_alone_leaves_the_environment_as_it_is():
    """What is set for Horovod would reach whatever is launched from here later on."""
    before = dict(os.environ)
    assert command.main(["pretrain", *REQUIRED]) == 2  # there are no shards
    assert dict(os.environ) == before


def test_only_pytorch_compiles(capsys):
    assert command.main(["pretrain", *REQUIRED, "--backend", "tensorflow", "--compile", "true"]) == 2
    assert "error: compile is true and backend tensorflow" in capsys.readouterr().err


def test_forward_needs_a_configuration_for_a_prefix(capsys, tmp_path):
    arguments = ["--checkpoint", str(tmp_path / "model.ckpt-1"), "--inputs", "x", "--outputs", "y"]
    assert command.main(["forward", *arguments]) == 2
    assert "--config" in capsys.readouterr().err


def test_tensorflow_starts_without_keras():
    code = """
import os, sys, trainer.tf_backend.backend
found = [name for name in ("tensorflow", "keras") if name in sys.modules]
print(found, os.environ.get("TF_USE_LEGACY_KERAS"))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "['tensorflow'] None\n"


def test_core_and_readers_import_no_framework():
    code = """
import json, pkgutil, sys, importlib
import trainer.core, trainer.readers, trainer.__main__, trainer.pretrain, trainer.forward
for package in (trainer.core, trainer.readers):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
import petastorm
from tensorboard.compat.proto import event_pb2
frameworks = {"tensorflow", "torch", "keras", "transformers", "horovod"}
found = frameworks & {name.split(".")[0] for name in sys.modules}
print(json.dumps([sorted(found), trainer.__file__]))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, place = json.loads(ended.stdout)
    assert found == []
    assert os.path.dirname(os.path.dirname(place)) == os.path.dirname(os.path.dirname(pretrain.__file__))
