import json
import os
import shutil

import pytest
from safetensors.numpy import load_file

from command_line.outermost import REFUSED
from conversion import convert as convert_module
from conversion.__main__ import main
from conversion.convert import ConvertConfig, convert
from conversion.errors import ConversionRefused, ProcessFailed, VerificationFailed
from conversion.model_folder import open_model
from conversion.verify_folder import VerifyConfig, verify_folder
from schemas.applied_maps import CATEGORIES, AppliedMap
from schemas.errors import ContractError
from schemas.manifest import read_manifest
from schemas.model import ABOUT_FILES, KIND
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS

FILES = [
    "README.md",
    "config.json",
    "conversion_report.json",
    "encode_patient.py",
    "los_head.py",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]


@pytest.fixture(scope="module")
def converted(tensorflow_checkpoints, tmp_path_factory):
    """A model folder of a TensorFlow checkpoint, run by the trainer itself, and its report.

    The checkpoint's variables are the good one's, named as from a TF hub module: module/bert/…:0.
    """
    output = str(tmp_path_factory.mktemp("converted") / "model")
    return output, convert(ConvertConfig(checkpoint=tensorflow_checkpoints["scoped"], output=output))


def test_the_folder_is_whole_and_says_how_it_was_made(converted):
    folder, report = converted
    assert sorted(os.listdir(folder)) == FILES
    manifest = read_manifest(folder, KIND, verify=True)
    assert {file.path for file in manifest.files} == set(FILES) - {"manifest.json", *ABOUT_FILES}
    with open(f"{folder}/conversion_report.json") as stream:
        assert json.load(stream) == report
    assert report["variables"] == {
        "consumed": 46,
        "renamed": 46,
        "ignored": {"Adam slot": 92, "step counter": 1},
        "parameters_filled": 46,
        "parameters_tied": 2,
        "values": sum(array.size for array in load_file(f"{folder}/model.safetensors").values()),
    }
    assert report["source"]["step"] == 7
    assert report["config"]["hidden_act"] == "gelu_pytorch_tanh"
    parity = report["verification"]
    assert parity["passed"]
    assert set(parity["max_abs_error"]) == {
        *("embeddings", "layer_0", "layer_1", "sequence_output", "pooled_output"),
        *("mlm_log_probs", "los_log_probs", "mlm_loss", "los_loss"),
    }
    assert max(parity["max_abs_error"].values()) < 2e-5
    assert parity["limits"] == dict.fromkeys(parity["max_abs_error"], pytest.approx(2e-5))
    assert parity["erf_gelu_max_abs_difference"]["layer_1"] > 2e-5
    assert parity["bfloat16_max_abs_error"]["layer_1"] > 2e-5


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_other_activations_of_bert_s_own_code(tensorflow_checkpoints, source_command, tmp_path, activation):
    checkpoint = tensorflow_checkpoints["good"]
    with open(f"{os.path.dirname(checkpoint)}/bert_config.json") as stream:
        plain = json.load(stream) | {"hidden_act": activation}
    (tmp_path / "bert_config.json").write_text(json.dumps(plain))
    output = str(tmp_path / "model")
    options = ConvertConfig(checkpoint=checkpoint, config=str(tmp_path / "bert_config.json"), output=output)
    report = convert(options, source_command=source_command)
    assert report["verification"]["erf_gelu_max_abs_difference"] == {}
    with open(f"{output}/config.json") as stream:
        assert json.load(stream)["hidden_act"] == activation
    with open(f"{output}/README.md") as stream:
        assert f"The activation is `{activation}`." in stream.read()


@pytest.mark.slow
def test_moving_averages_and_another_activation_run_by_the_trainer_itself(tensorflow_checkpoints, tmp_path):
    checkpoint = tensorflow_checkpoints["averaged"]
    with open(f"{os.path.dirname(checkpoint)}/bert_config.json") as stream:
        plain = json.load(stream) | {"hidden_act": "relu"}
    (tmp_path / "bert_config.json").write_text(json.dumps(plain))
    output = str(tmp_path / "model")
    options = {"checkpoint": checkpoint, "config": str(tmp_path / "bert_config.json"), "use_ema": True}
    report = convert(ConvertConfig(**options, output=output))
    assert report["source"]["moving_averages"]
    assert report["variables"]["ignored"]["not averaged"] == 46
    assert report["verification"]["passed"]
    assert verify_folder(VerifyConfig(**options, model=output))["passed"]
    with pytest.raises(VerificationFailed, match="embeddings"):
        verify_folder(VerifyConfig(**options | {"use_ema": False}, model=output))


def test_unfit_variables_are_refused_by_name_and_nothing_is_left(
    tensorflow_checkpoints, source_command, tmp_path
):
    with pytest.raises(ConversionRefused) as refused:
        convert(
            ConvertConfig(checkpoint=tensorflow_checkpoints["odd"], output=str(tmp_path / "model")),
            source_command=source_command,
        )
    text = str(refused.value)
    assert "bert/encoder/extra/kernel (3, 4) is unknown" in text
    assert "unknown/adam_m (2,) is unknown" in text
    assert "cls/predictions/output_bias is missing" in text
    assert "bert/pooler/dense/bias has shape (13,), not (12,); bert.pooler.dense.bias needs (12,)" in text
    assert "bert/embeddings/LayerNorm/beta has 12 value(s) that are NaN" in text
    assert len(refused.value.problems) == 5
    assert os.listdir(tmp_path) == []


def test_a_failed_verification_leaves_no_folder(torch_checkpoint, source_command, tmp_path, monkeypatch):
    real = convert_module.map_arrays

    def wrong(*arguments):
        mapped = real(*arguments)
        mapped.arrays["bert.encoder.layer.1.output.LayerNorm.bias"] += 1e-3
        return mapped

    monkeypatch.setattr(convert_module, "map_arrays", wrong)
    config = ConvertConfig(checkpoint=torch_checkpoint(), output=str(tmp_path / "model"))
    with pytest.raises(VerificationFailed, match=r"layer_1 1\.00e-03") as failed:
        convert(config, source_command=source_command)
    assert "layer_0" not in str(failed.value)
    with pytest.raises(ProcessFailed, match="running the checkpoint ended with exit status 1"):
        convert(config, source_command=("false",))
    assert os.listdir(tmp_path) == ["run"]


def test_verify_alone_finds_the_other_checkpoint_out(
    converted, tensorflow_checkpoints, source_command, run_python
):
    folder, report = converted
    good = VerifyConfig(model=folder, checkpoint=tensorflow_checkpoints["good"])
    assert verify_folder(good, source_command=source_command)["passed"]
    other = VerifyConfig(model=folder, checkpoint=tensorflow_checkpoints["other"])
    with pytest.raises(VerificationFailed, match="differs from its checkpoint: embeddings"):
        verify_folder(other, source_command=source_command)
    with open(f"{folder}/conversion_report.json") as stream:
        written = json.load(stream)
    assert not written["verification"]["passed"]
    assert written["source"] == report["source"]
    read_manifest(folder, KIND, verify=True)  # the report is no part of the published content


@pytest.mark.parametrize("los_pooling", ["mean", "sum"])
def test_a_torch_run_gives_the_same_folder_with_its_own_los_head(
    torch_checkpoint, write_shards, tmp_path, los_pooling
):
    maps = (AppliedMap(CATEGORIES),)
    checkpoint = torch_checkpoint(max_seq_length=10, code_maps=maps, los_pooling=los_pooling)
    output = str(tmp_path / "model")
    config = ConvertConfig(run=str(tmp_path / "run"), output=output, shards=write_shards(24))
    report = convert(config)  # the trainer itself runs it
    assert sorted(os.listdir(output)) == FILES
    assert report["vocabulary"]["tokens"] == 24
    assert report["vocabulary"]["rows_without_token"] == 2
    assert report["variables"]["ignored"] == {}
    assert report["verification"]["num_real_patients"] == 4
    manifest = read_manifest(output, KIND)
    assert manifest.inputs == {
        "checkpoint": read_manifest(checkpoint, "checkpoint").fingerprint,
        "vocabulary": "f" * 64,
    }
    assert manifest.details["special_tokens"] == vars(STANDARD_SPECIAL_TOKENS)
    with open(f"{output}/README.md") as stream:
        card = stream.read()
    with open(f"{output}/config.json") as stream:
        stated = json.load(stream)
    assert stated["max_seq_length"] == 10 and stated["trained_pooler"] is True
    assert open_model(output).code_maps == maps
    assert report["vocabulary"]["code_maps"] == [maps[0].in_words()]
    assert "codes were cut to their categories" in card
    assert "the latest 10 codes" in card
    assert "Do not use" in card
    assert "is ready to be\nfine-tuned" in card and "The pooler learned" in card
    assert ("sums over padding" in card) == (los_pooling == "sum")


def test_the_old_model_is_replaced_but_nothing_else_is(converted, torch_checkpoint, source_command, tmp_path):
    output = tmp_path / "model"
    shutil.copytree(converted[0], output)
    before = (output / "model.safetensors").read_bytes()
    checkpoint = torch_checkpoint()
    again = ConvertConfig(run=str(tmp_path / "run"), output=str(output))
    with pytest.raises(ProcessFailed):
        convert(again, source_command=("false",))
    assert (output / "model.safetensors").read_bytes() == before
    convert(again, source_command=source_command)
    assert "ICD10CM//E03.9" in (output / "vocab.txt").read_text()
    assert sorted(os.listdir(tmp_path)) == ["model", "run"]
    for taken in (again.run, checkpoint):
        with pytest.raises(ContractError, match=r"no model folder|this stage reads model"):
            convert(ConvertConfig(run=again.run, output=taken), source_command=source_command)
    assert os.path.exists(f"{checkpoint}/manifest.json")


@pytest.mark.parametrize("other", [(25, "f" * 64), (24, "e" * 64)])
def test_shards_of_another_vocabulary_are_refused(torch_checkpoint, write_shards, tmp_path, other):
    torch_checkpoint()
    shards = write_shards(*other)
    config = ConvertConfig(run=str(tmp_path / "run"), output=str(tmp_path / "model"), shards=shards)
    with pytest.raises(ContractError, match="is not the checkpoint's"):
        convert(config)
    assert not os.path.exists(config.output)


def test_the_command_line_says_what_was_refused(tmp_path, caplog, capsys):
    arguments = ["convert", "--run", str(tmp_path), "--output", str(tmp_path / "model")]
    assert main(arguments) == REFUSED
    assert "no finished checkpoint" in caplog.text
    with pytest.raises(SystemExit):
        main([*arguments, "--los_pooling", "last"])
    assert "los_pooling" in capsys.readouterr().err


def test_conflicting_and_missing_options(tensorflow_checkpoints, torch_checkpoint, tmp_path):
    folder = torch_checkpoint()
    for options, message in (
        ({}, "neither checkpoint nor run"),
        ({"checkpoint": "x", "run": "y"}, "both given|are both"),
        ({"checkpoint": folder, "vocabulary": "v.txt", "config": "c.json"}, "--config and --vocabulary"),
        ({"checkpoint": folder, "los_pooling": "sum"}, "trained with first"),
        ({"checkpoint": str(tmp_path)}, "is no checkpoint"),
        ({"run": str(tmp_path / "nothing")}, "no finished checkpoint"),
        (
            {"checkpoint": tensorflow_checkpoints["good"], "config": str(tmp_path / "no.json")},
            "does not exist",
        ),
    ):
        with pytest.raises(ContractError, match=message):
            convert(ConvertConfig(**options, output=str(tmp_path / "model")))
    assert os.listdir(tmp_path) == ["run"]
