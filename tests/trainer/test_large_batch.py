"""LAMB, steps in parts and compressed gradients, in both backends."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.large_batch_commands import LAMB
from tests.trainer.small_models import LEARNING_RATE
from trainer.core.backend_rules import float16_scale, is_decayed

BACKENDS = ["tensorflow", "torch"]


def under(results, name):
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}


def plain_lamb(results, steps):
    """Algorithm 2 of You et al. 2020, variable by variable, in float64."""
    weights = {name: value.astype(np.float64) for name, value in under(results, "0/weights").items()}
    m, v = ({name: np.zeros_like(value) for name, value in weights.items()} for _ in range(2))
    for step in range(1, steps + 1):
        gradients = under(results, f"{step}/gradients")
        norm = np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in gradients.values()))
        for name, weight in weights.items():
            gradient = gradients[name] * min(1.0, LAMB.clip_norm / norm)
            m[name] = LAMB.beta_1 * m[name] + (1 - LAMB.beta_1) * gradient
            v[name] = LAMB.beta_2 * v[name] + (1 - LAMB.beta_2) * gradient**2
            mean, square = m[name] / (1 - LAMB.beta_1**step), v[name] / (1 - LAMB.beta_2**step)
            update = mean / (np.sqrt(square) + LAMB.epsilon)
            if is_decayed(name):
                update = update + LAMB.weight_decay * weight
                size, update_size = np.linalg.norm(weight), np.linalg.norm(update)
                if size > 0 and update_size > 0:
                    update = update * (size / update_size)
            weights[name] = weight - LEARNING_RATE * update
    return weights


@pytest.mark.parametrize("backend", BACKENDS)
def test_lamb_is_the_published_algorithm(run_backend, backend):
    results = run_backend(backend, "lamb")[0]
    for name, expected in plain_lamb(results, 3).items():
        np.testing.assert_allclose(results[f"3/weights/{name}"], expected, rtol=0, atol=2e-6, err_msg=name)


def test_both_backends_agree_on_lamb(run_backend):
    tensorflow, torch = (under(run_backend(name, "lamb")[0], "3/weights") for name in BACKENDS)
    for name, expected in tensorflow.items():
        np.testing.assert_allclose(torch[name], expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_run_repeats_lamb_to_the_bit(run_backend, backend):
    results = run_backend(backend, "lamb")[0]
    for name, expected in under(results, "3/weights").items():
        np.testing.assert_array_equal(results[f"resumed/{name}"], expected, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_in_parts_is_the_step(run_backend, backend):
    results = run_backend(backend, "parts")[0]
    assert (results["whole/number"], results["parts/number"], results["units/number"]) == (1, 2, 4)
    for name, expected in under(results, "whole").items():
        if name == "number":
            continue
        for parts in ("parts", "units"):
            np.testing.assert_allclose(results[f"{parts}/{name}"], expected, rtol=0, atol=2e-6, err_msg=name)
    for name, expected in under(results, "first").items():
        np.testing.assert_array_equal(results[f"again/{name}"], expected, err_msg=name)


@pytest.mark.horovod
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_ranks_in_parts_and_compressed_end_where_one_does(run_backend, backend):
    alone = under(run_backend(backend, "large_batch")[0], "alone")
    first, second = run_backend(backend, "large_batch", ranks=2)
    for name, expected in alone.items():
        for way in ("parts", "fp16"):
            np.testing.assert_array_equal(first[f"{way}/{name}"], second[f"{way}/{name}"], err_msg=name)
        np.testing.assert_allclose(first[f"parts/{name}"], expected, rtol=0, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(first[f"fp16/{name}"], expected, rtol=0, atol=2e-4, err_msg=name)
    assert any((first[f"parts/{name}"] != first[f"fp16/{name}"]).any() for name in alone)


@pytest.mark.parametrize("largest", [1e-30, 3e-9, 0.5, 7.0, 1e9])
@pytest.mark.parametrize("ranks", [1, 2, 64])
def test_scaled_gradients_use_float16_and_never_leave_it(largest, ranks):
    scale = float16_scale(largest, ranks)
    assert np.log2(scale) == round(np.log2(scale))
    assert largest * scale * ranks <= 32_768
    assert largest * scale * ranks > 16_000 or scale == 2.0**100


@pytest.mark.parametrize("largest", [0.0, float("inf"), float("nan")])
def test_what_cannot_be_scaled_stays(largest):
    assert float16_scale(largest, 2) == 1.0
