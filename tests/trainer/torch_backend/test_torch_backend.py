"""What is PyTorch's own."""

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["mlm_log_probs", "los_log_probs"])
def test_transformers_loads_a_checkpoint_as_it_is(run_backend, name):
    results = run_backend("torch", "pretrained")[0]
    np.testing.assert_allclose(results[name], results[f"backend/{name}"], rtol=0, atol=1e-5)


def test_bfloat16_is_float32_but_for_rounding(run_backend):
    results = run_backend("torch", "precisions")[0]
    exact, rounded = (
        {
            name.split("/", 2)[2]: v
            for name, v in results.items()
            if name.startswith(f"{precision}/gradients/")
        }
        for precision in ("float32", "bfloat16")
    )
    size = np.sqrt(sum((gradient**2).sum() for gradient in exact.values()))
    difference = np.sqrt(sum(((rounded[name] - gradient) ** 2).sum() for name, gradient in exact.items()))
    assert 0 < difference < 0.03 * size  # bfloat16 has 8 bits
    assert results["bfloat16/is_float32"].all()
    exact_losses, rounded_losses = results["float32/losses"], results["bfloat16/losses"]
    np.testing.assert_allclose(rounded_losses, exact_losses, atol=0.02)
    assert (exact_losses[-1] < exact_losses[0] - 0.1).any()  # something was learnt


def test_bfloat16_gradients_hardly_depend_on_the_chunks(run_backend):
    results = run_backend("torch", "precisions")[0]
    names = [name for name in results if name.startswith("bfloat16/gradients/")]
    for name in names:
        np.testing.assert_allclose(
            results[name.replace("gradients", "in_chunks", 1)], results[name], atol=2e-3, err_msg=name
        )


def test_attention_with_dropout_is_what_it_is_written_out(run_backend):
    results = run_backend("torch", "attention")[0]
    assert results["widths"].tolist() == [32, 128]
    np.testing.assert_allclose(results["output"], results["plain_output"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(results["gradient"], results["plain_gradient"], rtol=0, atol=2e-5)


def test_dropout_repeats_itself_and_nothing_else(run_backend):
    results = run_backend("torch", "dropout")[0]
    draws = [results[f"{seed}/{call}"] for seed in (1, 2) for call in (1, 2)]
    assert results["nothing_dropped"]
    np.testing.assert_array_equal(results["again"], draws[0])
    for number, draw in enumerate(draws):
        assert set(np.unique(draw)) == {0.0, 1.0}
        assert abs(draw.mean() - 0.9) < 0.005
        assert abs(draw.mean() * results["scale"] - 1) < 0.005
        for other in draws[:number]:  # as often alike as independent draws are
            assert abs((draw == other).mean() - (0.9**2 + 0.1**2)) < 0.01
