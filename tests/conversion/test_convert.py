import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from conversion import convert as convert_module
from conversion.convert import ConvertConfig, convert
from conversion.errors import ConversionRefused, ProcessFailed, VerificationFailed
from conversion.verify_folder import VerifyConfig, verify_folder
from schemas.errors import ContractError
from schemas.manifest import read_manifest
from schemas.medbert_types import export_types
from schemas.model import KIND
from schemas.vocabulary import SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

FILES = [
    "README.md",
    "config.json",
    "conversion_report.json",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]

LOAD = """
import json, sys, warnings
import numpy as np, torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoTokenizer
sys.path.insert(0, sys.argv[2])
folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
found = {"tokenizer": type(tokenizer).__name__, "inputs": dict(tokenizer(sys.argv[3]))}
ids = torch.tensor([found["inputs"]["input_ids"]])
outputs = {}
for auto in (AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining):
    model, loading = auto.from_pretrained(folder, output_loading_info=True)
    found[auto.__name__] = {
        "class": type(model).__name__, "training": model.training, "act": model.config.hidden_act,
        "missing": sorted(loading["missing_keys"]), "mismatched": sorted(loading["mismatched_keys"]),
    }
    outputs[auto.__name__] = model(ids)
words, decoder = model.bert.embeddings.word_embeddings, model.cls.predictions.decoder
found["tied"] = decoder.weight.data_ptr() == words.weight.data_ptr()
found["same_mlm"] = torch.allclose(
    outputs["AutoModelForMaskedLM"].logits, outputs["AutoModelForPreTraining"].prediction_logits, atol=1e-6)
print(json.dumps(found))
"""


def assert_nothing_left(folder):
    assert os.listdir(folder) == []


@pytest.fixture(scope="module")
def converted(tensorflow_checkpoints, source_command, tmp_path_factory):
    """A model folder of the good TensorFlow checkpoint, without a vocabulary, and its report."""
    output = str(tmp_path_factory.mktemp("converted") / "model")
    report = convert(
        ConvertConfig(checkpoint=tensorflow_checkpoints["good"], output=output), source_command=source_command
    )
    return output, report


def test_the_folder_is_whole_and_says_how_it_was_made(converted):
    folder, report = converted
    assert sorted(os.listdir(folder)) == FILES
    manifest = read_manifest(folder, KIND, verify=True)
    assert {file.path for file in manifest.files} == set(FILES) - {"manifest.json", "conversion_report.json"}
    with open(f"{folder}/conversion_report.json") as stream:
        assert json.load(stream) == report
    assert report["variables"] == {
        "consumed": 46,
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
    assert parity["erf_gelu_max_abs_difference"]["layer_1"] > 2e-5
    assert parity["bfloat16_max_abs_error"]["layer_1"] > 2e-5


def test_loads_offline_through_every_auto_class(converted, project_root, run_python):
    folder, _ = converted
    found = run_python(LOAD, folder, project_root, "[CODE_3] [CODE_25]")
    assert found["tokenizer"] != "BertTokenizer"
    assert found["inputs"] == {"input_ids": [3, 25], "token_type_ids": [0, 0], "attention_mask": [1, 1]}
    for auto, kind in (
        ("AutoModel", "BertModel"),
        ("AutoModelForMaskedLM", "BertForMaskedLM"),
        ("AutoModelForPreTraining", "BertForPreTraining"),
    ):
        assert found[auto] == {
            "class": kind, "training": False, "act": "gelu_pytorch_tanh", "missing": [], "mismatched": []
        }  # fmt: skip
    assert found["tied"]
    assert found["same_mlm"]


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
    assert_nothing_left(tmp_path)


def test_a_failed_verification_leaves_no_folder(
    tensorflow_checkpoints, source_command, tmp_path, monkeypatch
):
    real = convert_module.map_arrays

    def wrong(*arguments):
        mapped = real(*arguments)
        mapped.arrays["bert.encoder.layer.1.output.LayerNorm.bias"] += 1e-3
        return mapped

    monkeypatch.setattr(convert_module, "map_arrays", wrong)
    with pytest.raises(VerificationFailed, match=r"layer_1 1\.00e-03") as failed:
        convert(
            ConvertConfig(checkpoint=tensorflow_checkpoints["good"], output=str(tmp_path / "model")),
            source_command=source_command,
        )
    assert "layer_0" not in str(failed.value)
    assert_nothing_left(tmp_path)


def test_a_source_that_cannot_be_run_leaves_no_folder(tensorflow_checkpoints, tmp_path):
    config = ConvertConfig(checkpoint=tensorflow_checkpoints["good"], output=str(tmp_path / "model"))
    with pytest.raises(ProcessFailed, match="running the checkpoint ended with exit status 1"):
        convert(config, source_command=("false",))
    assert_nothing_left(tmp_path)


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
    torch_checkpoint, source_command, run_python, project_root, tmp_path, los_pooling
):
    checkpoint = torch_checkpoint(los_pooling=los_pooling)
    run, output = str(tmp_path / "run"), str(tmp_path / "model")
    report = convert(ConvertConfig(run=run, output=output), source_command=source_command)
    assert sorted(os.listdir(output)) == FILES
    assert report["vocabulary"]["tokens"] == 24
    assert report["vocabulary"]["rows_without_token"] == 2
    assert report["variables"]["ignored"] == {"tied to another": 2}
    manifest = read_manifest(output, KIND)
    assert manifest.inputs == {
        "checkpoint": read_manifest(checkpoint, "checkpoint").fingerprint,
        "vocabulary": "f" * 64,
    }
    assert manifest.details["special_tokens"] == vars(STANDARD_SPECIAL_TOKENS)
    found = run_python(LOAD, output, project_root, "ICD10CM//E03.9 ICD10CM//Z99 [MASK]")
    assert found["inputs"]["input_ids"] == [7, 1, 3]
    with open(f"{output}/README.md") as stream:
        card = stream.read()
    assert "Do not use" in card
    assert ("sums over padding" in card) == (los_pooling == "sum")


def test_the_old_model_is_replaced_but_nothing_else_is(
    tensorflow_checkpoints, torch_checkpoint, source_command, tmp_path
):
    output = tmp_path / "model"
    convert(
        ConvertConfig(checkpoint=tensorflow_checkpoints["good"], output=str(output)),
        source_command=source_command,
    )
    before = (output / "model.safetensors").read_bytes()
    torch_checkpoint()
    again = ConvertConfig(run=str(tmp_path / "run"), output=str(output))
    with pytest.raises(ProcessFailed):
        convert(again, source_command=("false",))
    assert (output / "model.safetensors").read_bytes() == before
    convert(again, source_command=source_command)
    assert "ICD10CM//E03.9" in (output / "vocab.txt").read_text()
    assert sorted(os.listdir(tmp_path)) == ["model", "run"]
    for taken in (str(tmp_path / "run"), again.run + "/checkpoints/step-00000007"):
        with pytest.raises(ContractError):
            convert(ConvertConfig(run=again.run, output=taken), source_command=source_command)
    assert os.path.exists(f"{tmp_path}/run/checkpoints/step-00000007/manifest.json")


def test_types_and_too_many_tokens(tensorflow_checkpoints, source_command, tmp_path):
    tokens = ["[PAD]", *(f"ICD9CM//{number}" for number in range(100, 125))]
    (tmp_path / "v.types").write_bytes(export_types(tokens))
    output = tmp_path / "model"
    options = {"checkpoint": tensorflow_checkpoints["good"], "output": str(output)}
    report = convert(
        ConvertConfig(**options, vocabulary=str(tmp_path / "v.types")), source_command=source_command
    )
    assert report["vocabulary"]["origin"] == "Med-BERT .types"
    assert (output / "vocab.txt").read_text().splitlines() == tokens
    (tmp_path / "v.txt").write_text("\n".join([*tokens, "ICD9CM//999"]))
    with pytest.raises(ContractError, match="27 tokens and the model 26 rows"):
        convert(ConvertConfig(**options, vocabulary=str(tmp_path / "v.txt")), source_command=source_command)
    (tmp_path / "v.txt").write_text("\n".join(["A", "B"]))
    with pytest.raises(ContractError, match="has no \\[PAD\\]"):
        convert(ConvertConfig(**options, vocabulary=str(tmp_path / "v.txt")), source_command=source_command)


def test_conflicting_and_missing_options(tensorflow_checkpoints, torch_checkpoint, tmp_path):
    folder = torch_checkpoint()
    for options, message in (
        ({}, "neither checkpoint nor run"),
        ({"checkpoint": "x", "run": "y"}, "both given"),
        (
            {"checkpoint": folder, "vocabulary": "v.txt", "los_pooling": "sum"},
            "--vocabulary and --los_pooling",
        ),
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


def test_real_patients_from_shards_are_compared_too(torch_checkpoint, source_command, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.manifest import Manifest, describe_file, publish_manifest
    from schemas.shards import KIND as SHARDS_KIND
    from schemas.shards import SHARDS, shard_details

    torch_checkpoint()
    shards = tmp_path / "shards" / "valid"
    shards.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lengths = [3, 40, 1, 16]
    table = pa.table(
        {
            "token_ids": [rng.integers(4, 24, n) for n in lengths],
            "visit_numbers": [np.arange(n) + 1 for n in lengths],
            "prolonged_los": [0, 1, 1, 0],
        },
        schema=SHARDS.arrow,
    )
    pq.write_table(table, shards / "part-00000.parquet")

    def publish(size):
        details = shard_details(
            vocabulary_fingerprint="f" * 64,
            vocabulary_size=size,
            special_tokens=vars(STANDARD_SPECIAL_TOKENS),
            num_codes=60,
            max_visits=40,
            length_histogram={},
        )
        files = (describe_file(str(shards), "part-00000.parquet", 4),)
        publish_manifest(str(shards), Manifest(kind=SHARDS_KIND, files=files, details=details))

    publish(24)
    options = ConvertConfig(run=str(tmp_path / "run"), output=str(tmp_path / "model"), shards=str(shards))
    report = convert(options, source_command=source_command)
    assert report["verification"]["num_real_patients"] == 4
    publish(25)
    with pytest.raises(ContractError, match="vocabulary has 25 tokens, the checkpoint's 24"):
        convert(options, source_command=source_command)
    assert SPECIAL_TOKENS[0] in (tmp_path / "model" / "vocab.txt").read_text()
