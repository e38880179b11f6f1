import numpy as np

from schemas.bert_names import tensorflow_shapes
from schemas.model_config import BertConfig
from trainer.core.initial_weights import initial_weights

CONFIG = BertConfig(vocab_size=3000, hidden_size=24, num_hidden_layers=2, num_attention_heads=3)


def test_every_variable_has_its_shape_and_kind_of_start():
    weights = initial_weights(CONFIG, seed=1)
    assert {name: array.shape for name, array in weights.items()} == tensorflow_shapes(CONFIG)
    assert all(array.dtype == np.float32 for array in weights.values())
    assert (weights["bert/embeddings/LayerNorm/gamma"] == 1).all()
    assert not weights["bert/embeddings/LayerNorm/beta"].any()
    assert not weights["cls/predictions/output_bias"].any()
    assert weights["cls/seq_relationship/output_weights"].all()


def test_draws_are_truncated_normal():
    table = initial_weights(CONFIG, seed=1)["bert/embeddings/word_embeddings"]
    assert np.abs(table).max() <= 0.04
    assert abs(table.mean()) < 2e-4
    # A normal distribution cut at 2 standard deviations has 0.8796 of its standard deviation.
    np.testing.assert_allclose(table.std(), 0.02 * 0.8796, rtol=0.01)


def test_weights_depend_on_the_seed_alone():
    first, again, other = (initial_weights(CONFIG, seed) for seed in (1, 1, 2))
    kernel = "bert/encoder/layer_1/output/dense/kernel"
    np.testing.assert_array_equal(first[kernel], again[kernel])
    assert not np.array_equal(first[kernel], other[kernel])
    assert not np.array_equal(first[kernel], first[kernel.replace("layer_1", "layer_0")])
