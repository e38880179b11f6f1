"""Training in bfloat16, in both backends."""

from __future__ import annotations

import numpy as np
import pytest

BACKENDS = ["tensorflow", "torch"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_is_float32_but_for_rounding(run_backend, backend):
    results = run_backend(backend, "precisions")[0]
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_gradients_hardly_depend_on_the_chunks(run_backend, backend):
    results = run_backend(backend, "precisions")[0]
    names = [name for name in results if name.startswith("bfloat16/gradients/")]
    for name in names:
        np.testing.assert_allclose(
            results[name.replace("gradients", "in_chunks", 1)], results[name], atol=2e-3, err_msg=name
        )
