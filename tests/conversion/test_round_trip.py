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


def test_a_model_folder_goes_back_to_tensorflow_bit_equal(tensorflow_checkpoints, write_model, tmp_path):
    original = read_tensorflow_checkpoint(tensorflow_checkpoints["good"]).variables
    model = write_model(original, max_seq_length=10)
    prefix = to_tensorflow(ToTensorflowConfig(model=model, output=str(tmp_path / "back")))
    back = read_tensorflow_checkpoint(prefix).variables
    assert back.keys() == original.keys()
    assert all(np.array_equal(back[name], original[name]) for name in original)
    source = open_source(SourceOptions(checkpoint=prefix, vocabulary=f"{model}/vocab.txt"), str(tmp_path))
    first = open_source(SourceOptions(checkpoint=tensorflow_checkpoints["good"]), "")
    assert source.config == first.config
    assert (source.max_seq_length, first.max_seq_length) == (10, first.config.max_position_embeddings)


def test_the_erf_form_cannot_go_back(variables, write_model, tmp_path):
    model = write_model(variables)
    with open(f"{model}/config.json") as stream:
        config = json.load(stream)
    with open(f"{model}/config.json", "w") as stream:
        json.dump(config | {"hidden_act": "gelu"}, stream)
    with pytest.raises(ContractError, match="tanh form"):
        to_tensorflow(ToTensorflowConfig(model=model, output=str(tmp_path / "back")))
    assert not os.path.exists(tmp_path / "back")
