"""TensorFlow and PyTorch compute the same from the same weights and patients."""

import numpy as np
import pytest

POOLINGS = ("first", "mean", "sum")
CASES = (*POOLINGS, "relu", "tanh", "linear", "several_widths")
"""The last: patients of whom some need wider rows than others."""


@pytest.fixture(scope="module")
def both(run_backend):
    """(TensorFlow's, PyTorch's) results of backend_commands.alone."""
    return run_backend("tensorflow", "alone")[0], run_backend("torch", "alone")[0]


def under(results, name):
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}


@pytest.mark.parametrize("case", CASES)
def test_losses_agree_to_1e_5(both, case):
    tensorflow, torch = (under(results, f"parity/{case}") for results in both)
    np.testing.assert_allclose(torch["losses"], tensorflow["losses"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(torch["gradient_norm"], tensorflow["gradient_norm"], rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_every_gradient_agrees_to_1e_4(both, case):
    tensorflow, torch = (under(results, f"parity/{case}/gradients") for results in both)
    assert tensorflow.keys() == torch.keys()
    for name, expected in tensorflow.items():
        np.testing.assert_allclose(torch[name], expected, rtol=0, atol=1e-5, err_msg=name)
        if np.abs(expected).max() > 1e-6:  # the key's bias has no gradient but rounding: softmax cancels it
            relative = np.linalg.norm(torch[name] - expected) / np.linalg.norm(expected)
            assert relative < 1e-4, name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_variable_has_a_gradient_whatever_the_head_reads(both, pooling):
    """The pooler's, too: where the head reads past it, it learns beside the network."""
    for results in both:
        gradients = under(results, f"parity/{pooling}/gradients")
        still = {name for name, gradient in gradients.items() if not np.abs(gradient).max() > 1e-6}
        assert still == {f"bert/encoder/layer_{layer}/attention/self/key/bias" for layer in (0, 1)}


def test_what_the_pooler_learns_beside_the_network_moves_nothing_else(both):
    for results in both:
        as_built, filled = (under(results, f"pooler/{name}") for name in ("as_built", "filled"))
        moved = {name for name in as_built if not np.array_equal(as_built[name], filled[name])}
        assert moved == {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"}


@pytest.mark.parametrize("case", CASES)
def test_weights_agree_after_a_step(both, case):
    tensorflow, torch = (under(results, f"parity/{case}/weights") for results in both)
    for name, expected in tensorflow.items():
        np.testing.assert_allclose(torch[name], expected, rtol=0, atol=1e-5, err_msg=name)


def test_weights_agree_after_five_steps(both):
    tensorflow, torch = (under(results, "five_steps/weights") for results in both)
    for name, expected in tensorflow.items():
        np.testing.assert_allclose(torch[name], expected, rtol=0, atol=1e-5, err_msg=name)


def test_predictions_agree(both):
    tensorflow, torch = (under(results, "predictions") for results in both)
    np.testing.assert_array_equal(torch["top_codes"], tensorflow["top_codes"])
    for name in ("mlm_loss_sum", "los_loss_sum", "prolonged_los_score"):
        np.testing.assert_allclose(torch[name], tensorflow[name], rtol=1e-5, atol=1e-5)


def test_every_intermediate_output_agrees(both):
    tensorflow, torch = (under(results, "forward") for results in both)
    assert set(tensorflow) == set(torch) == {
        "embeddings", "layer_0", "layer_1", "sequence_output", "pooled_output",
        "mlm_log_probs", "los_log_probs", "mlm_loss", "los_loss",
    }  # fmt: skip
    for name, expected in tensorflow.items():
        assert torch[name].shape == expected.shape
        np.testing.assert_allclose(torch[name], expected, rtol=0, atol=1e-5, err_msg=name)
