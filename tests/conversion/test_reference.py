"""The checkpoint that the original Med-BERT's trainer wrote, against what the original computed."""

import json
import os

import numpy as np
import pytest

from conversion.convert import ConvertConfig, convert

RUN = """
import json, sys
import numpy as np, torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining
folder, reference, found = sys.argv[1:]
stored = np.load(reference)
inputs = {
    "input_ids": torch.tensor(stored["input_ids"]).long(),
    "attention_mask": torch.tensor(stored["input_mask"]).long(),
    "token_type_ids": torch.tensor(stored["segment_ids"]).long(),
}
with torch.no_grad():
    encoder = AutoModel.from_pretrained(folder)(**inputs)
    masked = AutoModelForMaskedLM.from_pretrained(folder)(**inputs)
    both = AutoModelForPreTraining.from_pretrained(folder)(**inputs, output_hidden_states=True)
rows = torch.arange(8)[:, None]
positions = torch.tensor(stored["masked_lm_positions"]).long()
np.savez(
    found,
    sequence_output=both.hidden_states[-1],
    sequence_output_of_encoder=encoder.last_hidden_state,
    pooled_output=encoder.pooler_output,
    mlm_log_probs=both.prediction_logits[rows, positions].log_softmax(-1).flatten(0, 1),
    mlm_log_probs_of_masked_lm=masked.logits[rows, positions].log_softmax(-1).flatten(0, 1),
    los_log_probs=both.seq_relationship_logits.log_softmax(-1),
)
print(json.dumps("done"))
"""


@pytest.fixture(scope="module")
def converted(shared, tmp_path_factory):
    source = f"{shared}/checkpoints/medbert_tf1"
    output = str(tmp_path_factory.mktemp("reference") / "model")
    report = convert(ConvertConfig(checkpoint=source, vocabulary=f"{source}/vocabulary.types", output=output))
    return output, report


def test_equal_to_the_original_graph_through_each_auto_class(converted, shared, run_python, tmp_path):
    reference = f"{shared}/checkpoints/medbert_tf1/reference.npz"
    run_python(RUN, converted[0], reference, str(tmp_path / "found.npz"))
    found, right = np.load(tmp_path / "found.npz"), np.load(reference)
    real = right["input_mask"].astype(bool)
    for name in ("sequence_output", "sequence_output_of_encoder"):
        np.testing.assert_allclose(found[name][real], right["sequence_output"][real], atol=2e-5, rtol=0)
    for name in ("pooled_output", "mlm_log_probs", "los_log_probs"):
        np.testing.assert_allclose(found[name], right[name], atol=2e-5, rtol=0)
    np.testing.assert_allclose(found["mlm_log_probs_of_masked_lm"], right["mlm_log_probs"], atol=2e-5, rtol=0)
    los_loss = -found["los_log_probs"][np.arange(8), right["los_labels"][:, 0]].mean()
    np.testing.assert_allclose(los_loss, right["los_loss"], atol=2e-5, rtol=0)
    # The original's loss: its reference has a weight of 1 for every prediction.
    labels = right["masked_lm_ids"].ravel()
    mlm_loss = -found["mlm_log_probs"][np.arange(len(labels)), labels].sum() / (len(labels) + 1e-5)
    np.testing.assert_allclose(mlm_loss, right["mlm_loss"], atol=2e-5, rtol=0)


def test_the_report_and_the_vocabulary(converted):
    folder, report = converted
    assert report["variables"]["consumed"] == 46
    assert report["variables"]["ignored"] == {"Adam slot": 92, "step counter": 1}
    assert report["vocabulary"]["tokens"] == 301
    assert report["vocabulary"]["rows_without_token"] == 9
    assert report["verification"]["passed"]
    assert 1e-4 < report["verification"]["erf_gelu_max_abs_difference"]["mlm_log_probs"] < 1e-2
    with open(os.path.join(folder, "config.json")) as stream:
        config = json.load(stream)
    assert (config["hidden_act"], config["layer_norm_eps"]) == ("gelu_pytorch_tanh", 1e-12)
    with open(os.path.join(folder, "vocab.txt")) as stream:
        assert stream.read().splitlines()[:3] == ["[PAD]", "ICD10CM//P08.0", "ICD9CM//105.0"]
