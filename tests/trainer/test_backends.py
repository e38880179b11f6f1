"""What either backend must do by itself."""

import numpy as np
import pytest

BACKENDS = ("tensorflow", "torch")


@pytest.fixture(scope="module", params=BACKENDS)
def results(request, run_backend):
    """Of backend_commands.alone."""
    return run_backend(request.param, "alone")[0] | {"backend": request.param}


def under(results, name):
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}


@pytest.mark.parametrize("way", ["shuffled", "head_in_chunks"])
def test_gradients_do_not_depend_on_the_order_of_patients_or_the_chunks_of_the_head(results, way):
    whole = under(results, "steps/one")
    for name, gradient in under(results, f"steps/{way}").items():
        np.testing.assert_allclose(gradient, whole[name], rtol=0, atol=1e-6, err_msg=name)


def test_no_patients_give_zero_gradients(results):
    gradients = under(results, "steps/nobody")
    assert gradients.keys() == under(results, "steps/one").keys()
    for name, gradient in gradients.items():
        assert gradient.shape == results[f"steps/one/{name}"].shape
        assert not gradient.any()
    assert results["steps/loss_of_nobody"].tolist() == [0.0, 0.0]


def test_nothing_masked_trains_the_stay_head_alone(results):
    gradients = under(results, "steps/nothing_masked")
    assert not gradients["cls/predictions/output_bias"].any()
    assert not gradients["cls/predictions/transform/dense/kernel"].any()
    assert gradients["cls/seq_relationship/output_weights"].any()
    assert gradients["bert/embeddings/word_embeddings"].any()
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_predictions_have_their_shapes_with_nobody_and_nothing_masked(results):
    predictions = under(results, "predictions")
    assert predictions["top_codes"].shape[1] == 10
    assert predictions["top_codes"].dtype == np.int32
    assert predictions["top_codes"].shape[0] == predictions["masked_codes"]
    assert predictions["prolonged_los_score"].shape == (60,)
    assert predictions["nobody"].shape == (0, 10)
    assert predictions["nothing_masked"].shape == (0, 10)


def test_predictions_stand_in_the_order_of_the_batch(results):
    predictions = under(results, "predictions")
    for name, expected in under(predictions, "alone").items():
        np.testing.assert_allclose(predictions[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_likeliest_codes_do_not_depend_on_the_chunks(results):
    found = results["steps/top_codes/in_chunks"]
    assert len(found) > 4
    np.testing.assert_array_equal(found, results["steps/top_codes/at_once"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_threads_compute_what_one_does(run_backend, backend):
    one, three = (run_backend(backend, "threads", threads=threads)[0] for threads in (1, 3))
    for name, expected in under(one, "gradients").items():
        np.testing.assert_allclose(three[f"gradients/{name}"], expected, rtol=0, atol=1e-6, err_msg=name)
    for name, expected in under(one, "predictions").items():
        np.testing.assert_allclose(three[f"predictions/{name}"], expected, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_threads_repeat_themselves_to_the_bit(run_backend, backend):
    results = run_backend(backend, "threads", threads=3)[0]
    for name, gradient in under(results, "first").items():
        np.testing.assert_array_equal(gradient, results[f"again/{name}"], err_msg=name)


@pytest.mark.parametrize("source", ["resumed", "from_memory"])
def test_a_resumed_run_is_the_undisturbed_one_to_the_bit(results, source):
    resumed = under(results, f"resume/{source}")
    for name, expected in under(results, "resume/undisturbed").items():
        np.testing.assert_array_equal(resumed[name], expected, err_msg=name)


def test_an_update_that_is_not_finite_is_not_applied(results):
    assert not results["non_finite/applied"]
    assert results["non_finite/changed"].tolist() == []


@pytest.fixture(scope="module", params=BACKENDS)
def anomalies(request, run_backend):
    """Of anomaly_commands.anomalies."""
    return run_backend(request.param, "anomalies")[0] | {"backend": request.param}


@pytest.mark.parametrize("case", ["nothing", "nothing_again"])
def test_a_sound_step_has_no_anomaly(anomalies, case):
    assert anomalies[f"{case}/finite"]
    assert str(anomalies[f"{case}/anomaly"]) == "None"


@pytest.mark.parametrize(
    ("case", "torch_says", "tensorflow_says"),
    [
        (
            "weight",
            "a weight is not finite before the step: bert/embeddings/token_type_embeddings",
            "a weight is not finite before the step: bert/embeddings/token_type_embeddings",
        ),
        (
            "overflow",
            "forward pass: bert.encoder.layer.1.intermediate.dense (Linear)",
            "forward pass, bert/encoder/layer_1/intermediate/dense: MatMul",
        ),
        ("head", "backward pass: Function '", "outside the layers (heads, backward pass): Sqrt"),
    ],
)
def test_the_operation_or_layer_that_spoils_a_step_is_named(anomalies, case, torch_says, tensorflow_says):
    assert not anomalies[f"{case}/finite"]
    says = torch_says if anomalies["backend"] == "torch" else tensorflow_says
    assert str(anomalies[f"{case}/anomaly"]).startswith(says)
    assert anomalies["changed"].tolist() == []


def test_a_checkpoint_is_made_of_its_stated_files(results):
    expected = {
        "tensorflow": ["model.ckpt-3.data-00000-of-00001", "model.ckpt-3.index"],
        "torch": ["model.safetensors", "optimizer.safetensors"],
    }
    assert results["resume/files"].tolist() == expected[results["backend"]]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("unknown", "has the unknown"),
        ("missing", "lacks"),
        ("misshapen", "(97, 24), not (98, 24)"),
        ("misshapen_on_resume", "(97, 24), not (98, 24)"),
        ("absent", "does not exist"),
        ("absent_on_resume", "does not exist"),
        ("truncated", "cannot be read"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(results, case, says):
    message = str(results[f"refusals/{case}"])
    assert message.startswith("ContractError: ")
    assert says in message
    layer = {"unknown": "1", "missing": "2"}.get(case)
    if layer:
        assert f"layer_{layer}" in message or f"layer.{layer}" in message


def test_weights_are_loaded_without_the_slots(results):
    loaded, saved = under(results, "refusals/loaded"), under(results, "resume/undisturbed")
    assert loaded.keys() == saved.keys() - {"last_loss"}
    drift = max(np.abs(loaded[name] - saved[name]).max() for name in loaded)
    assert 0 < drift < 0.02  # two steps lie between


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_process_without_a_gpu_of_its_own_is_refused(run_backend, backend):
    error = str(run_backend(backend, "second_rank_on_one_gpu")[0]["error"])
    assert error.startswith("rank 1 is process 2 of its host, which has 1 GPU(s). Rule: ")
    assert "start at most 1 on such a host (NP, slots)" in error
