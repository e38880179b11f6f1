"""Codes added to a model and dropped from it. Both runs of each change prove the old outputs equal."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from conversion.errors import VerificationFailed
from conversion.extend_vocabulary import ExtendConfig, extend_vocabulary
from conversion.model_folder import WORD_BIAS, WORDS, open_model
from conversion.proof import same_outputs
from conversion.shrink_vocabulary import ShrinkConfig, shrink
from schemas.applied_maps import CATEGORIES, AppliedMap
from schemas.errors import ContractError
from schemas.manifest import read_manifest
from schemas.model import KIND

SIBLING, ABOVE, NEW_CHAPTER, RARE = "ICD10CM//E11.2", "ICD10CM//E05", "ICD10CM//Z99.9", "ICD10CM//E07.1"


def read(folder, name):
    with open(f"{folder}/{name}") as stream:
        return stream.read()


def test_codes_added_and_dropped_again(publish_model, variables, write_vocabulary, tmp_path):
    published_model = publish_model(variables, max_seq_length=10)
    old = open_model(published_model)
    known = list(old.codes)
    other = write_vocabulary("other", {known[3]: 50, SIBLING: 30, ABOVE: 12, NEW_CHAPTER: 20, RARE: 5})
    bigger = str(tmp_path / "bigger")
    change = extend_vocabulary(ExtendConfig(model=published_model, vocabulary=other, output=bigger))

    assert change["added"] == 3
    assert change["begun_as_the_mean_of"] == {
        "codes below it": 1, "parent and siblings": 1, "codes of the system": 1,
    }  # fmt: skip
    assert change["coverage"]["before"] == {"codes": 1 / 5, "rows": 50 / 117}
    assert change["coverage"]["after"] == {"codes": 4 / 5, "rows": 112 / 117}
    before, after = (
        load_file(f"{published_model}/model.safetensors"),
        load_file(f"{bigger}/model.safetensors"),
    )
    first = len(old.tokens)  # the tiny model has two rows more than tokens
    assert after[WORDS].shape == (first + 3, 12)
    assert np.array_equal(after[WORDS][:first], before[WORDS][:first])
    for row, relatives in ((first, ["ICD10CM//E11.9"]), (first + 1, ["ICD10CM//E05.9"]), (first + 2, known)):
        ids = [old.codes[code] for code in relatives]
        np.testing.assert_array_equal(after[WORDS][row], before[WORDS][ids].mean(0))
        np.testing.assert_array_equal(after[WORD_BIAS][row], before[WORD_BIAS][ids].mean())
    assert AutoTokenizer.from_pretrained(bigger).tokenize("e112 e07.1") == [SIBLING, "[UNK]"]
    assert json.loads(read(bigger, "config.json"))["vocab_size"] == first + 3
    assert "3 codes of another database were added" in read(bigger, "README.md")
    assert read_manifest(bigger, KIND, verify=True).inputs["model"] == old.manifest.fingerprint
    report = json.loads(read(bigger, "conversion_report.json"))
    assert report["vocabulary_changes"] == [change]
    assert max(change["differences_for_old_tokens"].values()) < 1e-5

    counts = write_vocabulary("counts", dict.fromkeys(known, 11) | {SIBLING: 10, ABOVE: 0})
    smaller = str(tmp_path / "smaller")
    change = shrink(ShrinkConfig(model=bigger, vocabulary=counts, output=smaller))
    assert change["dropped"] == 3
    again = load_file(f"{smaller}/model.safetensors")
    assert np.array_equal(again.pop(WORDS), before.pop(WORDS)[:first])
    assert np.array_equal(again.pop(WORD_BIAS), before.pop(WORD_BIAS)[:first])
    assert all(np.array_equal(again[name], before[name]) for name in again.keys() | before.keys())
    assert open_model(smaller).tokens == old.tokens
    assert open_model(smaller).max_seq_length == 10
    assert AutoTokenizer.from_pretrained(smaller).model_max_length == 10
    assert len(json.loads(read(smaller, "conversion_report.json"))["vocabulary_changes"]) == 2


def test_nothing_is_left_of_a_change_that_alters_old_outputs(
    published_model, write_vocabulary, tmp_path, monkeypatch
):
    other = write_vocabulary("other", {SIBLING: 30})
    outputs = {name: np.zeros((2, 3)) for name in ("pooled_output", "los_log_probs")}

    def run(jobs):
        return [
            outputs
            | {
                "sequence_output": np.full((*inputs["input_ids"].shape, 2), tokens / 1000),
                "mlm_log_probs": np.zeros((1, tokens)),
            }
            for tokens, (_, _, inputs) in zip((24, 25, 24), jobs, strict=True)
        ]

    monkeypatch.setattr(same_outputs, "_run", run)
    with pytest.raises(VerificationFailed, match=r"differs from the old one: sequence_output 1\.00e-03"):
        extend_vocabulary(ExtendConfig(model=published_model, vocabulary=other, output=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_maps_are_those_of_both_databases(published_model, write_vocabulary, tmp_path, monkeypatch):
    monkeypatch.setattr("conversion.extend_vocabulary.check_same_outputs", lambda *_: {})
    monkeypatch.setattr("conversion.shrink_vocabulary.check_same_outputs", lambda *_: {})
    maps = (AppliedMap(CATEGORIES),)
    other = write_vocabulary("other", {ABOVE: 30}, code_maps=maps)
    bigger, smaller = str(tmp_path / "bigger"), str(tmp_path / "smaller")
    extend_vocabulary(ExtendConfig(model=published_model, vocabulary=other, output=bigger))
    assert open_model(bigger).code_maps == maps
    assert "There, codes were cut to their categories" in read(bigger, "README.md")
    shrink(ShrinkConfig(model=bigger, vocabulary=other, output=smaller))
    assert open_model(smaller).code_maps == maps


def test_no_code_left_is_refused(published_model, write_vocabulary, tmp_path):
    counts = write_vocabulary("counts", {SIBLING: 30})
    with pytest.raises(ContractError, match=r"no code of .* has 11 patients"):
        shrink(ShrinkConfig(model=published_model, vocabulary=counts, output=str(tmp_path / "out")))
