import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bert_names import (
    TABLE,
    TIED,
    check_shapes,
    rows_for,
    tensorflow_shapes,
    training_state,
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


KERNEL = "bert/pooler/dense/kernel"
SHAPES = tensorflow_shapes(CONFIG)
names = st.text(st.characters(blacklist_characters="/", blacklist_categories=["Cs"]), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    scope=st.lists(names, max_size=2),
    variable=st.sampled_from(sorted(SHAPES)),
    slot=names
    | st.sampled_from(
        ["BERTAdam", "AdamWeightDecayOptimizer_1", "lamb_m", "accum", "ExponentialMovingAverage"]
    ),
)
def test_a_child_of_a_variables_shape_is_a_slot_whatever_its_name_and_scope(scope, variable, slot):
    name = "/".join([*scope, variable, slot])
    shape = SHAPES[variable]
    assert set(training_state({**SHAPES, name: shape})) == {name}
    assert training_state({**SHAPES, name: (*shape, 1)}) == {}
    unknown = "/".join([*scope, "x", slot])
    assert training_state({**SHAPES, unknown: shape}) == {}


@pytest.mark.parametrize("variable", SHAPES)
def test_no_variable_of_the_model_is_training_state(variable):
    assert training_state({variable: SHAPES[variable]}) == {}


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        (f"{KERNEL}/adam_m", "Adam slot"),
        (f"training/{KERNEL}/Adam_1", "Adam slot"),
        (f"training/Adam/{KERNEL}/m", "optimiser slot"),
        (f"{KERNEL}/BERTAdam_1", "optimiser slot"),
        (f"{KERNEL}/ExponentialMovingAverage", "moving average"),
        ("bert/encoder/layer_11/output/dense/bias/AdamWeightDecayOptimizer", "optimiser slot"),
        (f"{KERNEL}/adam_m/adam_m", None),
        ("mystery/adam_m", None),
        ("adam_m", None),
    ],
)
def test_slots_have_their_reasons(variable, reason):
    shapes = SHAPES | {variable: SHAPES[KERNEL]}
    assert training_state(shapes).get(variable) == reason


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("global_step", "step counter"),
        ("training/beta1_power_1", "Adam bookkeeping"),
        ("training/Adam/beta_1", "Adam bookkeeping"),
        ("training/learning_rate", "learning rate"),
        ("good_steps", "loss scaling"),
        ("bad_steps", "loss scaling"),
        ("loss_scale/good_steps", "loss scaling"),
        ("local_step", "gradient accumulation"),
        ("accum_steps", "gradient accumulation"),
        ("is_accum_step", "gradient accumulation"),
        ("my/global_step", None),
        ("temperature", None),
    ],
)
def test_counters_are_training_state_while_they_have_one_value(variable, reason, shape):
    assert training_state({variable: shape}).get(variable) == reason
    assert training_state({variable: (2,)}) == {}


def test_what_does_not_fit_is_named():
    expected = {"a": (1,), "b": (2, 3), "c": (4,)}
    check_shapes(expected, dict(expected), "here")
    with pytest.raises(ContractError, match=r"here lacks a; has the unknown d; .* b \(3, 2\), not \(2, 3\)"):
        check_shapes(expected, {"b": (3, 2), "c": (4,), "d": (1,)}, "here")
