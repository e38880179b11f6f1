"""What is PyTorch's own."""

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["mlm_log_probs", "los_log_probs"])
def test_transformers_loads_a_checkpoint_as_it_is(run_backend, name):
    results = run_backend("torch", "pretrained")[0]
    np.testing.assert_allclose(results[name], results[f"backend/{name}"], rtol=0, atol=1e-5)
