import numpy as np
import pytest

from conversion.bert_map import map_arrays
from conversion.errors import ConversionRefused
from schemas.bert_names import TIED, transformers_shapes

QUERY = "bert/encoder/layer_1/attention/self/query/kernel"


def to_transformers(variables, config):
    return map_arrays(variables, config, "tensorflow", "transformers", "the test")


def problems_of(variables, config):
    with pytest.raises(ConversionRefused) as refused:
        to_transformers(variables, config)
    assert all(problem in str(refused.value) for problem in refused.value.problems)
    return refused.value.problems


def test_the_table_is_the_whole_of_transformers_model(config, run_python):
    state = run_python(
        "import json, sys; from transformers import BertConfig, BertForPreTraining;"
        "model = BertForPreTraining(BertConfig(**json.loads(sys.argv[1])));"
        "print(json.dumps({name: list(tensor.shape) for name, tensor in model.state_dict().items()}))",
        config.to_json(),
    )
    ours = {name: list(shape) for name, shape in transformers_shapes(config).items()}
    assert ours | {copy: ours[original] for copy, original in TIED.items()} == state


@pytest.mark.parametrize("layers", [1, 3])
def test_there_and_back_is_bit_equal(make_config, make_variables, layers):
    config = make_config(num_hidden_layers=layers)
    variables = make_variables(config)
    there = to_transformers(variables, config)
    assert set(there.consumed) == set(variables)
    assert set(there.consumed.values()) == set(there.arrays) == set(transformers_shapes(config))
    back = map_arrays(there.arrays, config, "transformers", "tensorflow", "the test").arrays
    assert back.keys() == variables.keys()
    assert all(np.array_equal(back[name], variables[name]) for name in variables)


def test_kernels_are_transposed_and_the_los_head_is_not(config, variables):
    arrays = to_transformers(variables, config).arrays
    assert np.array_equal(arrays["bert.encoder.layer.1.attention.self.query.weight"], variables[QUERY].T)
    weights = variables["cls/seq_relationship/output_weights"]
    assert np.array_equal(arrays["cls.seq_relationship.weight"], weights)


def test_every_problem_is_named_at_once(config, variables):
    variables["bert/encoder/layer_0/new/kernel"] = np.ones((2, 2), np.float32)
    del variables["cls/predictions/output_bias"]
    variables[QUERY] = variables[QUERY][:, :5]
    variables["bert/pooler/dense/bias"][3] = np.nan
    variables["bert/pooler/dense/kernel"][3, 2] = np.inf
    variables["bert/embeddings/LayerNorm/beta"] = np.zeros(12, np.int32)
    problems = problems_of(variables, config)
    assert set(problems) == {
        "bert/encoder/layer_0/new/kernel (2, 2) is unknown",
        "cls/predictions/output_bias is missing; cls.predictions.bias would stay empty",
        f"{QUERY} has shape (12, 5), not (12, 12); "
        "bert.encoder.layer.1.attention.self.query.weight needs (12, 12) = (hidden_size, hidden_size)",
        "bert/pooler/dense/bias has 1 value(s) that are NaN or infinite",
        "bert/pooler/dense/kernel has 1 value(s) that are NaN or infinite",
        "bert/embeddings/LayerNorm/beta is of type int32, not of floating point",
    }


@pytest.mark.parametrize(
    ("size", "stated", "found"),
    [
        ("vocab_size", 27, 26),
        ("hidden_size", 24, 12),
        ("intermediate_size", 4, 10),
        ("max_position_embeddings", 512, 16),
        ("type_vocab_size", 2, 9),
    ],
)
def test_a_wrong_size_in_the_configuration_is_one_problem(make_config, variables, size, stated, found):
    (problem,) = problems_of(variables, make_config(**{size: stated}))
    assert problem.startswith(
        f"{size} is {stated} in the configuration, but the checkpoint has {found}: bert/"
    )
    assert " for bert." in problem


@pytest.mark.parametrize("stated", [1, 3])
def test_a_wrong_number_of_layers_is_one_problem(make_config, variables, stated):
    (problem,) = problems_of(variables, make_config(num_hidden_layers=stated))
    assert problem == (
        f"num_hidden_layers is {stated} in the configuration, but the checkpoint has layers 0 to 1"
    )


def test_an_empty_checkpoint_lists_every_parameter(config):
    assert len(problems_of({}, config)) == len(transformers_shapes(config))


def test_tied_copies_are_left_out_but_must_be_copies(config, variables):
    arrays = to_transformers(variables, config).arrays
    for copy, original in TIED.items():
        arrays[copy] = arrays[original].copy()
    mapped = map_arrays(arrays, config, "transformers", "transformers", "the test")
    assert set(mapped.ignored) == set(TIED)
    assert mapped.arrays.keys() == transformers_shapes(config).keys()
    arrays["cls.predictions.decoder.weight"][0, 0] += 1
    with pytest.raises(ConversionRefused, match=r"cls.predictions.decoder.weight \(26, 12\) is unknown"):
        map_arrays(arrays, config, "transformers", "transformers", "the test")


@pytest.mark.parametrize(
    "slots",
    [
        ("BERTAdam", "BERTAdam_1"),
        ("LAMB", "LAMB_1"),
        ("AdamWeightDecayOptimizer",),
        ("ExponentialMovingAverage",),
    ],
)
@pytest.mark.parametrize("scope", ["", "training/", "training/Adam/"])
def test_slots_of_any_optimiser_are_left_out(config, variables, scope, slots):
    stored = {f"{scope}{name}/{slot}": array for name, array in variables.items() for slot in slots}
    counters = {"bad_steps": np.zeros(1, np.int64), f"{scope}beta1_power": np.ones((), np.float32)}
    mapped = to_transformers(variables | stored | counters, config)
    assert set(mapped.ignored) == stored.keys() | counters.keys()
    assert set(mapped.consumed) == set(variables)


def test_slots_of_what_is_unknown_or_of_another_shape_are_refused(config, variables):
    odd = {"mystery/BERTAdam": np.ones(2, np.float32), f"{QUERY}/vr": np.ones(12, np.float32)}
    assert problems_of(variables | odd, config) == (
        f"{QUERY}/vr (12,) is unknown",
        "mystery/BERTAdam (2,) is unknown",
    )
