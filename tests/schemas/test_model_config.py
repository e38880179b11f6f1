import json

import pytest

from schemas.errors import ContractError
from schemas.model_config import BertConfig, read_bert_config, read_max_seq_length


def _written(tmp_path, **values):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(values))
    return str(path)


def test_round_trip(tmp_path):
    config = BertConfig(vocab_size=100, los_pooling="mean")
    assert read_bert_config(_written(tmp_path, **config.to_dict())) == config
    assert json.loads(config.to_json()) == config.to_dict()


def test_the_original_s_gelu_is_the_tanh_form(tmp_path):
    assert (
        read_bert_config(_written(tmp_path, vocab_size=9, hidden_act="gelu")).hidden_act
        == "gelu_pytorch_tanh"
    )
    assert read_bert_config(_written(tmp_path, vocab_size=9)).hidden_act == "gelu_pytorch_tanh"


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        ("relu", "relu"),
        ("tanh", "tanh"),
        ("linear", "linear"),
        ("", "linear"),
        ("gelu_new", "gelu_pytorch_tanh"),
    ],
)
def test_every_activation_of_bert_s_own_code_is_read(tmp_path, stated, read):
    assert read_bert_config(_written(tmp_path, vocab_size=9, hidden_act=stated)).hidden_act == read


@pytest.mark.parametrize("stated", ["swish", "gelu_erf", "Relu"])
def test_other_activations_are_refused_without_a_remedy_that_makes_another_model(tmp_path, stated):
    with pytest.raises(ContractError, match=f"hidden_act is {stated}.*can't be used here"):
        read_bert_config(_written(tmp_path, vocab_size=9, hidden_act=stated))
    with pytest.raises(ContractError, match="hidden_act is gelu\\."):
        BertConfig(vocab_size=9, hidden_act="gelu")  # the erf form, where transformers reads it


def test_keys_of_other_tools_are_ignored(tmp_path):
    config = read_bert_config(_written(tmp_path, vocab_size=9, directionality="bidi"), los_pooling="sum")
    assert config == BertConfig(vocab_size=9, los_pooling="sum")


def test_how_many_codes_training_saw(tmp_path):
    config = BertConfig(vocab_size=9, max_position_embeddings=16)
    assert read_max_seq_length(_written(tmp_path, max_seq_length=10), config) == 10
    for wrong in (0, 17, "10", None, True):
        with pytest.raises(ContractError, match="states max_seq_length"):
            read_max_seq_length(_written(tmp_path, max_seq_length=wrong), config)


def test_the_original_s_own_file(shared):
    path = f"{shared}/checkpoints/medbert_tf1/bert_config.json"
    config = read_bert_config(path)
    assert read_max_seq_length(path, config) == config.max_position_embeddings
    assert config.hidden_act == "gelu_pytorch_tanh"
    assert config.layer_norm_eps == 1e-12


def test_errors(tmp_path):
    with pytest.raises(ContractError, match="does not exist"):
        read_bert_config(str(tmp_path / "none.json"))
    with pytest.raises(ContractError, match="no vocab_size"):
        read_bert_config(_written(tmp_path, hidden_size=4))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ContractError, match="cannot be read as JSON"):
        read_bert_config(str(tmp_path / "broken.json"))
    with pytest.raises(ContractError, match="multiple of num_attention_heads"):
        BertConfig(vocab_size=9, hidden_size=10, num_attention_heads=3)
    with pytest.raises(ContractError, match="first, mean or sum"):
        BertConfig(vocab_size=9, los_pooling="last")
