"""What is TensorFlow's own."""

import numpy as np
import pytest

REFERENCE_OUTPUTS = (
    "sequence_output",
    "pooled_output",
    "mlm_log_probs",
    "los_log_probs",
    "mlm_loss",
    "los_loss",
)


@pytest.mark.parametrize("name", REFERENCE_OUTPUTS)
def test_the_original_checkpoint_computes_the_original_outputs(run_backend, shared, name):
    expected = np.load(f"{shared}/checkpoints/medbert_tf1/reference.npz")[name]
    found = run_backend("tensorflow", "reference", shared)[0][name]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_steps_of_any_shape_are_traced_once(run_backend):
    assert run_backend("tensorflow", "alone")[0]["tracings"].tolist() == [1] * 4  # with two layers


def test_a_checkpoint_has_berts_names_with_adam_slots_and_the_step(run_backend):
    variables = run_backend("tensorflow", "variables")[0]
    weights = {name for name in variables if not name.endswith(("adam_m", "adam_v", "global_step"))}
    assert "bert/encoder/layer_1/attention/self/query/kernel" in weights
    assert "cls/seq_relationship/output_weights" in weights
    slots = {f"{name}/{slot}" for name in weights for slot in ("adam_m", "adam_v")}
    assert variables.keys() == weights | slots | {"global_step"}
    assert variables["global_step"] == 7
    assert variables["bert/pooler/dense/kernel/adam_v"].any()
