import pytest

from schemas.bert_names import (
    TABLE,
    TIED,
    check_shapes,
    ignored_reason,
    rows_for,
    tensorflow_shapes,
    transformers_shapes,
)
from schemas.errors import ContractError
from schemas.model_config import BertConfig

CONFIG = BertConfig(
    vocab_size=50, hidden_size=6, num_attention_heads=2, num_hidden_layers=2, intermediate_size=5
)


def test_every_layer_has_its_rows_once():
    rows = rows_for(3)
    per_layer = sum("{}" in row.tensorflow for row in TABLE)
    assert len(rows) == len(TABLE) + 2 * per_layer
    assert len({row.tensorflow for row in rows}) == len({row.transformers for row in rows}) == len(rows)
    assert not any("{}" in row.tensorflow + row.transformers for row in rows)


def test_shapes_follow_the_configuration():
    tensorflow, transformers = tensorflow_shapes(CONFIG), transformers_shapes(CONFIG)
    assert tensorflow["bert/embeddings/word_embeddings"] == (50, 6)
    assert tensorflow["bert/encoder/layer_1/intermediate/dense/kernel"] == (6, 5)
    assert transformers["bert.encoder.layer.1.intermediate.dense.weight"] == (5, 6)
    assert tensorflow["cls/seq_relationship/output_weights"] == (2, 6)
    assert transformers["cls.seq_relationship.weight"] == (2, 6)
    assert not TIED.keys() & transformers.keys()
    assert set(TIED.values()) <= transformers.keys()


@pytest.mark.parametrize(
    ("variable", "ignored"),
    [
        ("global_step", True),
        ("bert/pooler/dense/kernel/adam_m", True),
        ("bert/encoder/layer_11/output/dense/bias/Adam_1", True),
        ("bert/pooler/dense/kernel", False),
        ("bert/pooler/dense/kernel/other", False),
        ("something/else/adam_m", False),
    ],
)
def test_only_training_state_is_ignored(variable, ignored):
    assert (ignored_reason(variable) is not None) == ignored


def test_what_does_not_fit_is_named():
    expected = {"a": (1,), "b": (2, 3), "c": (4,)}
    check_shapes(expected, dict(expected), "here")
    with pytest.raises(ContractError, match=r"here lacks a; has the unknown d; .* b \(3, 2\), not \(2, 3\)"):
        check_shapes(expected, {"b": (3, 2), "c": (4,), "d": (1,)}, "here")
