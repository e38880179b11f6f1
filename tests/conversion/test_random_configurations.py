"""Networks of random sizes: transformers computes what NumPy does, and the way back is bit-equal."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from conversion.bert_map import map_arrays
from conversion.patients.sample_patients import make_inputs, random_patients
from conversion.proof.agreement import compare, real_values
from schemas.model_config import ACTIVATIONS, BertConfig
from schemas.vocabulary import MEDBERT_SPECIAL_TOKENS

RUN = """
import json, sys
from conversion.__main__ import main
for arguments in json.loads(sys.argv[1]):
    assert main(arguments) == 0, arguments
print("0")
"""
NUM_CONFIGURATIONS = 8


def random_config(rng):
    heads = int(rng.integers(1, 5))
    return BertConfig(
        vocab_size=int(rng.integers(6, 60)),
        hidden_size=heads * int(rng.integers(2, 9)),
        num_hidden_layers=int(rng.integers(1, 5)),
        num_attention_heads=heads,
        intermediate_size=int(rng.integers(1, 40)),
        max_position_embeddings=int(rng.integers(4, 40)),
        type_vocab_size=int(rng.integers(2, 12)),
        hidden_act=ACTIVATIONS[rng.integers(len(ACTIVATIONS))],
        los_pooling=("first", "mean", "sum")[rng.integers(3)],
    )


@pytest.mark.parametrize("seed", [20201001])
def test_both_directions(make_variables, write_model, numpy_bert, run_python, tmp_path, seed):
    rng, cases, commands = np.random.default_rng(seed), [], []
    for number in range(NUM_CONFIGURATIONS):
        config = random_config(rng)
        variables = make_variables(config, seed=number)
        patients = random_patients(config, MEDBERT_SPECIAL_TOKENS, config.vocab_size, seed=number)
        inputs = make_inputs(patients, MEDBERT_SPECIAL_TOKENS, seed=number)
        folder = write_model(variables, config=config)
        np.savez(f"{folder}.npz", **inputs)
        commands.append(
            [
                *("forward", "--model", folder, "--inputs", f"{folder}.npz", "--outputs", f"{folder}.out"),
                "--variants=[float32,float64]",
            ]
        )
        cases.append((config, variables, inputs, folder))
    run_python(RUN, json.dumps(commands))
    for config, variables, inputs, folder in cases:
        right = numpy_bert.forward(variables, config.to_dict(), inputs)
        float32, float64, right = (
            real_values(outputs, inputs["attention_mask"].astype(bool), config.los_pooling)
            for outputs in (*(_outputs(folder, variant) for variant in ("float32", "float64")), right)
        )
        agreement = compare(right, float32, float64)
        assert not agreement.failed, (config, agreement)
        assert max(agreement.differences.values()) <= 2e-5, (config, agreement)
        arrays = load_file(os.path.join(folder, "model.safetensors"))
        back = map_arrays(arrays, config, "transformers", "tensorflow", "test").arrays
        assert all(
            back[name].tobytes() == variables[name].tobytes() for name in back.keys() | variables.keys()
        )


def _outputs(folder, variant):
    return dict(np.load(os.path.join(f"{folder}.out", f"{variant}.npz")))
