import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion.bert_map import map_arrays
from conversion.checkpoints.source import SourceOptions, open_source
from conversion.checkpoints.tf_checkpoint import read_tensorflow_checkpoint
from conversion.to_tensorflow import ToTensorflowConfig, to_tensorflow
from schemas.bert_names import transformers_shapes
from schemas.errors import ContractError


@settings(max_examples=30, deadline=None)
@given(
    layers=st.integers(0, 4),
    heads=st.integers(1, 4),
    per_head=st.integers(1, 5),
    feed_forward=st.integers(1, 9),
    vocabulary=st.integers(1, 40),
    positions=st.integers(1, 9),
    visits=st.integers(1, 9),
)
def test_any_configuration_goes_there_and_back_bit_equal(
    make_config, make_variables, layers, heads, per_head, feed_forward, vocabulary, positions, visits
):
    config = make_config(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=heads * per_head,
        intermediate_size=feed_forward,
        vocab_size=vocabulary,
        max_position_embeddings=positions,
        type_vocab_size=visits,
    )
    variables = make_variables(config)
    there = map_arrays(variables, config, "tensorflow", "transformers", "test").arrays
    assert {name: array.shape for name, array in there.items()} == transformers_shapes(config)
    back = map_arrays(there, config, "transformers", "tensorflow", "test").arrays
    assert back.keys() == variables.keys()
    assert all(back[name].tobytes() == variables[name].tobytes() for name in variables)


@pytest.mark.parametrize("activation", ["gelu_pytorch_tanh", "relu"])
def test_a_model_folder_goes_back_to_tensorflow_bit_equal(
    make_config, make_variables, write_model, tmp_path, activation
):
    config = make_config(hidden_act=activation)
    original = make_variables(config)
    model = write_model(original, config=config, max_seq_length=10)
    with open(f"{model}/vocab.txt") as stream:
        tokens = stream.read()
    os.remove(f"{model}/vocab.txt")  # as transformers saves a folder
    back = str(tmp_path / "back")
    prefix = to_tensorflow(ToTensorflowConfig(model=model, output=back))
    variables = read_tensorflow_checkpoint(prefix).variables
    assert variables.keys() == original.keys()
    assert all(np.array_equal(variables[name], original[name]) for name in original)
    with open(f"{back}/vocab.txt") as stream:
        assert stream.read() == tokens
    for checkpoint in (prefix, back):
        options = SourceOptions(checkpoint=checkpoint, vocabulary=f"{back}/vocab.txt")
        source = open_source(options, str(tmp_path))
        assert (source.prefix, source.config, source.max_seq_length) == (prefix, config, 10)


def test_the_erf_form_cannot_go_back(variables, write_model, tmp_path):
    model = write_model(variables)
    with open(f"{model}/config.json") as stream:
        config = json.load(stream)
    with open(f"{model}/config.json", "w") as stream:
        json.dump(config | {"hidden_act": "gelu"}, stream)
    with pytest.raises(ContractError, match="tanh form"):
        to_tensorflow(ToTensorflowConfig(model=model, output=str(tmp_path / "back")))
    assert not os.path.exists(tmp_path / "back")
