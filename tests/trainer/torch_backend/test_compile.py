"""Compiled steps, and what of a GPU's step can be seen without a GPU."""

import numpy as np
import pytest

STEPS = range(1, 6)


def under(results, name):
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}


@pytest.fixture(scope="module")
def compiled(run_backend):
    return run_backend("torch", "compiled")[0]


@pytest.mark.parametrize("step", STEPS)
def test_compiled_steps_are_the_steps(compiled, step):
    results = under(compiled, "float32")
    plain = under(results, f"plain/{step}/gradients")
    for name, found in under(results, f"compiled/{step}/gradients").items():
        np.testing.assert_allclose(found, plain[name], rtol=0, atol=1e-5, err_msg=name)
        if np.abs(plain[name]).max() > 1e-6:
            assert np.linalg.norm(found - plain[name]) / np.linalg.norm(plain[name]) < 1e-4, name
    losses = results[f"compiled/{step}/losses"]
    np.testing.assert_allclose(losses, results[f"plain/{step}/losses"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("step", STEPS)
def test_compiled_steps_in_bfloat16_are_no_further_from_float32(compiled, step):
    exact, plain, found = (
        compiled[f"{name}/{step}/losses"] for name in ("float32/plain", "bfloat16/plain", "bfloat16/compiled")
    )
    np.testing.assert_allclose(found, exact, rtol=0, atol=2 * max(np.abs(plain - exact).max(), 1e-3))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_compiled_at_the_first_step_serves_all_layers_and_shapes(compiled, precision):
    graphs = compiled[f"{precision}/graphs"]
    assert set(np.diff(graphs)) == {0}


def test_five_functions_are_compiled(compiled):
    assert compiled["float32/graphs"][0] == 5


def test_a_compiled_run_goes_on_where_it_stopped(run_backend):
    results = run_backend("torch", "compiled_resume")[0]
    undisturbed = under(results, "undisturbed")
    assert "last_loss" in undisturbed and len(undisturbed) > 30
    for name, expected in undisturbed.items():
        np.testing.assert_array_equal(results[f"resumed/{name}"], expected, err_msg=name)


def test_without_a_compiler_it_says_so(run_backend):
    said = str(run_backend("torch", "no_compiler")[0]["said"])
    assert "no C++ compiler is found" in said and "install g++" in said


@pytest.mark.parametrize("pooling", ["first", "mean", "sum"])
def test_no_operation_of_a_gpu_step_waits_for_a_value(run_backend, pooling):
    results = run_backend("torch", "step_without_values")[0]
    assert results[pooling] > 100
    assert results[f"{pooling}/asking"] == "fails"


def test_steps_begun_ahead_are_the_steps_and_none_is_applied_after_a_bad_one(run_backend):
    results = run_backend("torch", "begun")[0]
    assert results["applied"].tolist() == [True, True, False, True]
    assert not results["runs_ahead"]  # on a CPU nothing is gained
    for name, expected in under(results, "plain").items():
        for when in ("ahead", "after_bad"):
            np.testing.assert_array_equal(results[f"{when}/{name}"], expected, err_msg=f"{when} {name}")
