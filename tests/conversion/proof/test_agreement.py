"""The limit of a parity check: it grows with float32's own rounding, and with nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion.proof.agreement import FLOOR, compare, real_values

MASK = np.array([[True, True, False], [True, False, False]])


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def head(hidden, table, dtype):
    """Log-probabilities (M, V) of hidden states (M, H) and a table (V, H), computed in `dtype`."""
    return {"mlm_log_probs": log_softmax(hidden.astype(dtype) @ table.astype(dtype).T)}


def head_in_another_order(hidden, table):
    """In float32, as a framework might that sums the other way round."""
    scores = np.zeros((len(hidden), len(table)), np.float32)
    for column in reversed(range(hidden.shape[1])):
        scores += hidden[:, column, None] * table[None, :, column]
    return {"mlm_log_probs": log_softmax(scores)}


@settings(deadline=None)
@given(scale=st.floats(1e-3, 1e3), size=st.integers(4, 200), seed=st.integers(0, 99))
def test_rounding_is_no_difference_and_a_changed_weight_is(scale, size, seed):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(6, size)).astype(np.float32)
    table = (scale * rng.normal(size=(50, size))).astype(np.float32)
    rounded, exact = head(hidden, table, np.float32), head(hidden, table, np.float64)
    assert not compare(head_in_another_order(hidden, table), rounded, exact).failed
    if scale > 0.01:  # at which this is above the floor
        wrong = table.copy()
        wrong[:, 1] = table[:, 0]
        assert compare(head(hidden, wrong, np.float32), rounded, exact).failed


def as_bfloat16(array):
    return (np.float32(array).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_bfloat16_is_not_called_equal(scale):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(6, 64)).astype(np.float32)
    table = (scale * rng.normal(size=(50, 64))).astype(np.float32)
    full, exact = head(hidden, table, np.float32), head(hidden, table, np.float64)
    half = head(as_bfloat16(hidden), as_bfloat16(table), np.float32)
    half = {name: as_bfloat16(array) for name, array in half.items()}
    assert compare(half, full, exact).failed
    # Nor where the target itself computed in it, by mistake, and rounds as much as it differs.
    assert compare(full, half, exact).failed


def test_small_values_may_differ_by_the_floor_alone():
    exact = {"layer_0": np.zeros((2, 3, 4))}
    for difference, failed in ((FLOOR / 2, False), (FLOOR * 1.01, True), (np.nan, True), (np.inf, True)):
        other = {"layer_0": np.full((2, 3, 4), difference)}
        assert bool(compare(other, exact, exact).failed) == failed
    assert compare({}, exact, exact).failed
    assert compare({"layer_0": np.zeros((2, 3, 5))}, exact, exact).failed


def test_the_worst_output_is_the_one_nearest_to_its_limit():
    exact = {"mlm_log_probs": np.array([-100.0]), "layer_0": np.zeros(1)}
    other = {"mlm_log_probs": np.array([-100.0 + 3e-5]), "layer_0": np.full(1, 1.9e-5)}
    agreement = compare(other, exact, exact)
    assert not agreement.failed
    assert agreement.worst == ("layer_0", pytest.approx(1.9e-5))
    assert compare(other | {"layer_0": np.full(1, np.nan)}, exact, exact).worst[0] == "layer_0"


def test_a_loss_has_the_limit_of_the_values_that_it_is_the_mean_of():
    exact = {"mlm_log_probs": np.array([-200.0]), "mlm_loss": np.array(1.0)}
    limits = compare(exact, exact, exact).limits
    assert limits["mlm_loss"] == limits["mlm_log_probs"] > FLOOR


def test_padding_is_not_compared():
    outputs = {"layer_0": np.arange(12.0).reshape(2, 3, 2), "los_log_probs": np.ones((2, 2))}
    values = real_values(outputs, MASK, "sum")
    np.testing.assert_array_equal(values["layer_0"], [[0, 1], [2, 3], [6, 7]])
    np.testing.assert_array_equal(values["los_log_probs"], [[0.5, 0.5], [1, 1]])
    np.testing.assert_array_equal(real_values(outputs, MASK, "mean")["los_log_probs"], np.ones((2, 2)))
