"""What is PyTorch's own."""

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["mlm_log_probs", "los_log_probs"])
def test_transformers_loads_a_checkpoint_as_it_is(run_backend, name):
    results = run_backend("torch", "pretrained")[0]
    np.testing.assert_allclose(results[name], results[f"backend/{name}"], rtol=0, atol=1e-5)


def test_a_folder_that_transformers_saved_has_the_weights_and_the_tokens(run_backend):
    results = run_backend("torch", "saved_by_transformers")[0]
    assert "tokenizer.json" in results["files"] and "vocab.txt" not in results["files"]
    assert results["tokens"].tolist() == [f"code {number}" for number in range(97)]
    names = [key for key in results if key.startswith("expected/")]
    assert len(names) == 46
    for name in names:
        np.testing.assert_array_equal(results[name.replace("expected", "found")], results[name], err_msg=name)


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
