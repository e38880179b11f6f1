"""At the paper's size, with weights as large as after long training: rounding passes, and no mistake does."""

import numpy as np
import pytest

from conversion.patients.sample_patients import Patient, make_inputs
from conversion.proof.agreement import compare, real_values
from conversion.proof.forward import ERF_GELU, FLOAT32, FLOAT64
from schemas.bert_names import tensorflow_shapes
from schemas.model_config import BertConfig
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS

CONFIG = BertConfig(vocab_size=82_603, hidden_size=192, num_hidden_layers=6, intermediate_size=64)
VARIANTS = (FLOAT32, FLOAT64, ERF_GELU)
LENGTHS = (48, 7, 1)
# Standard deviations of kernels and of the word embeddings, and the scale of the last layer norm.
WEIGHTS = {"as initialised": (0.02, 0.02, 1.0), "large": (0.08, 0.3, 2.5), "larger": (0.15, 1.0, 4.0)}
LAYER = "bert/encoder/layer_{}"
RUN = """
import sys
from conversion.proof.forward import ForwardConfig, run_forward
folder, inputs, outputs, *variants = sys.argv[1:]
run_forward(ForwardConfig(model=folder, inputs=inputs, outputs=outputs, variants=variants))
print("0")
"""


def large_variables(kernel, words, last):
    rng = np.random.default_rng(1)
    variables = {}
    for name, shape in tensorflow_shapes(CONFIG).items():
        values = rng.standard_normal(shape, np.float32)
        if name.endswith("gamma"):
            variables[name] = 0.9 + 0.1 * values
        elif name.endswith("word_embeddings"):
            variables[name] = words * values
        else:
            variables[name] = (kernel if len(shape) > 1 else 0.1) * values
    variables["cls/predictions/transform/LayerNorm/gamma"] *= np.float32(last)
    return variables


def swapped(variables, first, second):
    def other(name):
        for one, two in ((first, second), (second, first)):
            if name.startswith(f"{one}/"):
                return two + name.removeprefix(one)
        return name

    return {name: variables[other(name)] for name in variables}


def mistakes(variables):
    """What a wrong conversion might have made of the variables, by its name."""
    kernel = f"{LAYER.format(3)}/attention/output/dense/kernel"
    yield "a transposed kernel", variables | {kernel: variables[kernel].T}
    yield "swapped layers", swapped(variables, LAYER.format(2), LAYER.format(3))
    yield (
        "query and key swapped",
        swapped(
            variables, f"{LAYER.format(5)}/attention/self/query", f"{LAYER.format(5)}/attention/self/key"
        ),
    )
    for name in (
        f"{LAYER.format(5)}/intermediate/dense/bias",
        f"{LAYER.format(0)}/attention/self/value/bias",
        "cls/predictions/output_bias",
        "bert/pooler/dense/bias",
        "cls/seq_relationship/output_bias",
    ):
        yield f"without {name}", variables | {name: np.zeros_like(variables[name])}


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS)
def test_rounding_passes_and_no_mistake_does(write_model, numpy_bert, run_python, tmp_path, weights):
    variables = large_variables(*WEIGHTS[weights])
    rng = np.random.default_rng(0)
    patients = [
        Patient(rng.integers(1, CONFIG.vocab_size, length), np.arange(length) // 3 + 1, length % 2)
        for length in LENGTHS
    ]
    inputs = make_inputs(patients, MEDBERT_SPECIAL_TOKENS, 0)
    np.savez(tmp_path / "inputs.npz", **inputs)
    folder = write_model(variables, config=CONFIG)
    run_python(RUN, folder, str(tmp_path / "inputs.npz"), str(tmp_path / "outputs"), *VARIANTS)

    def comparable(outputs):
        return real_values(outputs, inputs["attention_mask"].astype(bool), CONFIG.los_pooling)

    float32, float64, erf = (
        comparable(dict(np.load(tmp_path / "outputs" / f"{variant}.npz"))) for variant in VARIANTS
    )

    def agreement_with(of_source, target=float32):
        return compare(comparable(numpy_bert.forward(of_source, CONFIG.to_dict(), inputs)), target, float64)

    agreement = agreement_with(variables)
    assert not agreement.failed, agreement
    if weights != "as initialised":  # what an absolute limit of 2e-5 refused
        assert max(agreement.differences.values()) > 2e-5
    assert compare(erf, float32, float64).failed
    for mistake, wrong in mistakes(variables):
        assert agreement_with(wrong).failed, mistake
