"""Inputs made to break the converter: each is refused with a message, and nothing of it is executed."""

import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from command_line.outermost import REFUSED
from conversion.__main__ import main
from conversion.bert_map import map_arrays
from conversion.checkpoints.safetensors_file import read_safetensors
from conversion.checkpoints.source import SourceOptions, open_source
from conversion.errors import ConversionRefused
from schemas.errors import ContractError
from schemas.model_config import read_bert_config


class Trap:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["vocabulary.types", "vocab.txt"])
def test_a_pickled_vocabulary_is_not_executed(tensorflow_checkpoints, tmp_path, caplog, name):
    trap = str(tmp_path / "executed")
    (tmp_path / name).write_bytes(pickle.dumps({"empty_pad": 0, "ICD10_C50": Trap(trap)}))
    output = str(tmp_path / "model")
    arguments = ["convert", "--checkpoint", tensorflow_checkpoints["good"], "--output", output]
    assert main([*arguments, "--vocabulary", str(tmp_path / name)]) == REFUSED
    assert "pickle instruction" in caplog.text or "is not text" in caplog.text
    assert sorted(os.listdir(tmp_path)) == [name]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "bert/../bert/pooler/dense/kernel", "", "a\0b"]
)
def test_names_with_path_tricks_are_unknown(config, variables, name):
    with pytest.raises(ConversionRefused, match="is unknown"):
        map_arrays(variables | {name: np.ones(2, np.float32)}, config, "tensorflow", "transformers", "test")


def test_a_torch_checkpoint_whose_weights_are_a_pickle(torch_checkpoint, tmp_path):
    folder, trap = torch_checkpoint(), str(tmp_path / "executed")
    with open(f"{folder}/model.safetensors", "wb") as stream:
        stream.write(pickle.dumps(Trap(trap)))
    with pytest.raises(ContractError, match="is not the file that was published"):
        open_source(SourceOptions(checkpoint=folder), str(tmp_path))
    with pytest.raises(ContractError, match="cannot be read"):
        read_safetensors(f"{folder}/model.safetensors")
    assert not os.path.exists(trap)


def test_a_checkpoint_damaged_anywhere_is_refused_or_read_equal(tensorflow_checkpoints, run_python, tmp_path):
    found = run_python(
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r});"
        "import damage_tf_checkpoints; damage_tf_checkpoints.main(*sys.argv[1:])",
        *(tensorflow_checkpoints["good"], str(tmp_path), "60", "20201001"),
    )
    assert "different" not in found
    assert found["refused"] > 30


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_safetensors_are_refused_or_read_whole(tmp_path_factory, data):
    plain = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)})
    damaged = bytearray(plain[: data.draw(st.integers(0, len(plain)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x.safetensors"
    path.write_bytes(damaged)
    try:
        arrays = read_safetensors(str(path))
    except ContractError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(plain)


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())
)
keys = st.sampled_from(
    ["vocab_size", "hidden_size", "num_attention_heads", "hidden_act", "layer_norm_eps", "x"]
)


@settings(max_examples=300, deadline=None)
@given(plain=st.dictionaries(keys, values | st.just(12)) | values)
def test_any_configuration_is_read_or_refused(tmp_path_factory, plain):
    path = tmp_path_factory.mktemp("config") / "bert_config.json"
    path.write_text(json.dumps(plain))
    try:
        config = read_bert_config(str(path))
    except ContractError:
        return
    assert config.vocab_size > 0 and config.hidden_size % config.num_attention_heads == 0
