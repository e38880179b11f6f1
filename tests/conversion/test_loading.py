"""A written folder, loaded as a user loads it. No verification runs here: NumPy says what is right."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from conversion.tokens.vocabulary_source import ModelVocabulary
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS, SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

CODES = tuple(f"ICD10CM//E{number:02d}.9" for number in range(20))
STANDARD = ModelVocabulary((*SPECIAL_TOKENS, *CODES), STANDARD_SPECIAL_TOKENS, "test")
MEDBERT = ModelVocabulary(("[PAD]", *CODES), MEDBERT_SPECIAL_TOKENS, "test")
INPUTS = {
    "input_ids": [[5, 9, 3, 12, 0, 0], [7, 8, 9, 10, 11, 12]],
    "attention_mask": [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]],
    "token_type_ids": [[1, 1, 2, 3, 0, 0], [1, 2, 3, 4, 5, 6]],
}


@pytest.fixture
def load(make_config, make_variables, write_model, numpy_bert):
    """Write a random model and load it in a process of its own; returns what was found, and what is right."""

    def load(vocabulary, los_pooling, text):
        variables = make_variables(make_config())
        folder = write_model(variables, vocabulary, los_pooling)
        script = os.path.join(os.path.dirname(__file__), "load_model.py")
        done = subprocess.run(
            [sys.executable, "-I", script, folder, json.dumps(INPUTS), text],
            env={"HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"]},
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        for complaint in ("newly initialized", "Warning", "MISSING", "MISMATCH"):
            assert complaint not in done.stderr
        rows, columns = np.nonzero(np.ones((2, 6)))
        inputs = {name: np.asarray(values) for name, values in INPUTS.items()} | {
            "masked_rows": rows,
            "masked_columns": columns,
            "masked_labels": rows * 0,
            "prolonged_los": np.zeros(2, int),
        }
        return json.loads(done.stdout), numpy_bert.forward(
            variables, make_config(los_pooling=los_pooling).to_dict(), inputs
        )

    return load


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("los_pooling", ["first", "mean", "sum"])
def test_every_auto_class_loads_it_whole_and_computes_the_same(load, los_pooling):
    found, right = load(STANDARD, los_pooling, "ICD10CM//E03.9 ICD10CM//Z99 [MASK] [PAD]")
    heads = ["cls.predictions", "cls.predictions.transform.LayerNorm", "cls.predictions.transform.dense"]
    for auto, kind, unexpected in (
        ("AutoModel", "BertModel", [*heads, "cls.seq_relationship"]),
        ("AutoModelForMaskedLM", "BertForMaskedLM", ["bert.pooler.dense", "cls.seq_relationship"]),
        ("AutoModelForPreTraining", "BertForPreTraining", []),
    ):
        assert found[auto] == {
            "class": kind,
            "training": False,
            "act": "gelu_pytorch_tanh",
            "missing": [],
            "mismatched": [],
            "unexpected": unexpected,  # what the class has no place for
        }
    assert found["new_in_a_classifier"] == ["classifier.bias", "classifier.weight"] and found["same_pooler"]
    assert not found["trained_pooler"]  # of a checkpoint from elsewhere nothing says so
    assert found["tied"] and found["same_mlm"]
    mask = np.asarray(INPUTS["attention_mask"], bool)
    for name in ("sequence_output", "pooled_output"):
        a, b = np.asarray(found[name]), right[name]
        np.testing.assert_allclose(*((a[mask], b[mask]) if a.ndim == 3 else (a, b)), atol=2e-5, rtol=0)
    mlm = log_softmax(found["mlm_logits"])
    np.testing.assert_allclose(mlm[mask], right["mlm_log_probs"].reshape(mlm.shape)[mask], atol=2e-5, rtol=0)
    np.testing.assert_allclose(log_softmax(found["los_logits"]), right["los_log_probs"], atol=2e-5, rtol=0)
    standard_differs = np.abs(np.subtract(found["los_logits"], found["standard_los_logits"])).max()
    assert (standard_differs < 1e-6) == (los_pooling == "first")
    tokens = {"input_ids": [7, 1, 3, 0], "token_type_ids": [1] * 4, "attention_mask": [1] * 4}
    assert found["tokens"] == found["words"] == tokens
    patient = {"input_ids": [7, 8, 7], "token_type_ids": [1, 2, 2], "attention_mask": [1, 1, 1]}
    assert found["patient"] == patient
    assert found["card"] == [1, 2, 26]
    assert found["special"] == [0, 1, 2, 3]
    assert found["tokenizer"] != "BertTokenizer"
    assert sorted(found["filled"]) == list(range(26))


def test_an_imported_vocabulary_has_one_token_for_padding_and_mask(load):
    found, _ = load(MEDBERT, "first", "ICD10CM//E03.9 [PAD]")
    assert found["tokens"]["input_ids"] == [4, 0]
    assert found["special"] == [0, None, None, 0]
    assert found["card"] == [1, 2, 26]
    assert sorted(found["filled"]) == list(range(26))
