"""The one table of names: BERT's TensorFlow variables and transformers' BertForPreTraining parameters.

The converter and both backends of the trainer read it, in either direction. A dense kernel is stored (in,
out) in TensorFlow and (out, in) in PyTorch; everything else is the same array. `{}` is the layer's number.
Source of the names: google-research/bert `modeling.py`, `run_pretraining.py` and transformers
`modeling_bert.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from schemas.checkpoint import ADAM_M, ADAM_V, GLOBAL_STEP
from schemas.errors import ContractError
from schemas.model_config import BertConfig


class Operation(Enum):
    """What is done to an array on its way, in either direction."""

    COPY = "copy"
    TRANSPOSE = "transpose"


@dataclass(frozen=True)
class Row:
    """One variable. shape is the TensorFlow variable's, by the configuration's names."""

    tensorflow: str
    transformers: str
    operation: Operation
    shape: tuple[str | int, ...]

    @property
    def transformers_shape(self) -> tuple[str | int, ...]:
        return self.shape[::-1] if self.operation is Operation.TRANSPOSE else self.shape

    def of_layer(self, layer: int) -> Row:
        return replace(
            self,
            tensorflow=self.tensorflow.replace("{}", str(layer)),
            transformers=self.transformers.replace("{}", str(layer)),
        )


WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"
OUTPUT_BIAS = "cls/predictions/output_bias"
VOCAB, HIDDEN, FEED_FORWARD = "vocab_size", "hidden_size", "intermediate_size"
POSITIONS, VISITS = "max_position_embeddings", "type_vocab_size"
NUM_LOS_CLASSES = 2


def _embedding(name: str, rows: str) -> Row:
    return Row(f"bert/embeddings/{name}", f"bert.embeddings.{name}.weight", Operation.COPY, (rows, HIDDEN))


def _dense(tensorflow: str, transformers: str, size_in: str, size_out: str) -> tuple[Row, Row]:
    return (
        Row(f"{tensorflow}/kernel", f"{transformers}.weight", Operation.TRANSPOSE, (size_in, size_out)),
        Row(f"{tensorflow}/bias", f"{transformers}.bias", Operation.COPY, (size_out,)),
    )


def _layer_norm(tensorflow: str, transformers: str) -> tuple[Row, Row]:
    return (
        Row(f"{tensorflow}/LayerNorm/gamma", f"{transformers}.LayerNorm.weight", Operation.COPY, (HIDDEN,)),
        Row(f"{tensorflow}/LayerNorm/beta", f"{transformers}.LayerNorm.bias", Operation.COPY, (HIDDEN,)),
    )


_TF, _HF = "bert/encoder/layer_{}", "bert.encoder.layer.{}"

_EMBEDDINGS: tuple[Row, ...] = (
    _embedding("word_embeddings", VOCAB),
    _embedding("position_embeddings", POSITIONS),
    _embedding("token_type_embeddings", VISITS),
    *_layer_norm("bert/embeddings", "bert.embeddings"),
)
_LAYER: tuple[Row, ...] = (
    *_dense(f"{_TF}/attention/self/query", f"{_HF}.attention.self.query", HIDDEN, HIDDEN),
    *_dense(f"{_TF}/attention/self/key", f"{_HF}.attention.self.key", HIDDEN, HIDDEN),
    *_dense(f"{_TF}/attention/self/value", f"{_HF}.attention.self.value", HIDDEN, HIDDEN),
    *_dense(f"{_TF}/attention/output/dense", f"{_HF}.attention.output.dense", HIDDEN, HIDDEN),
    *_layer_norm(f"{_TF}/attention/output", f"{_HF}.attention.output"),
    *_dense(f"{_TF}/intermediate/dense", f"{_HF}.intermediate.dense", HIDDEN, FEED_FORWARD),
    *_dense(f"{_TF}/output/dense", f"{_HF}.output.dense", FEED_FORWARD, HIDDEN),
    *_layer_norm(f"{_TF}/output", f"{_HF}.output"),
)
_HEADS: tuple[Row, ...] = (
    *_dense("bert/pooler/dense", "bert.pooler.dense", HIDDEN, HIDDEN),
    *_dense("cls/predictions/transform/dense", "cls.predictions.transform.dense", HIDDEN, HIDDEN),
    *_layer_norm("cls/predictions/transform", "cls.predictions.transform"),
    Row(OUTPUT_BIAS, "cls.predictions.bias", Operation.COPY, (VOCAB,)),
    # BERT stores this kernel (classes, hidden) already and multiplies by its transpose.
    Row(
        "cls/seq_relationship/output_weights",
        "cls.seq_relationship.weight",
        Operation.COPY,
        (NUM_LOS_CLASSES, HIDDEN),
    ),
    Row("cls/seq_relationship/output_bias", "cls.seq_relationship.bias", Operation.COPY, (NUM_LOS_CLASSES,)),
)
TABLE: tuple[Row, ...] = _EMBEDDINGS + _LAYER + _HEADS

# Parameters that transformers ties to another: stored once, in no file of ours.
TIED: dict[str, str] = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}

# What optimisers and training loops keep in TensorFlow checkpoints. A slot of a variable is a child of its
# name, with its shape, whatever the optimiser calls it and whatever scope stands before it.
MOVING_AVERAGES = ("ExponentialMovingAverage", "average")
_SLOT_REASONS = {
    **dict.fromkeys((ADAM_M, ADAM_V, "Adam", "Adam_1"), "Adam slot"),
    **dict.fromkeys(MOVING_AVERAGES, "moving average"),
}
_OTHER_SLOT = "optimiser slot"
# Counters: by name, and with no more than one value.
_COUNTERS: tuple[tuple[str, str], ...] = (
    (GLOBAL_STEP, "step counter"),
    (r"(.*/)?beta[12]_power(_\d+)?", "Adam bookkeeping"),
    (r"(.*/)?Adam/(beta_[12]|decay|iter|iterations|lr)", "Adam bookkeeping"),
    (r"(.*/)?learning_rate", "learning rate"),
    (r"(.*/)?(current_loss_scale|loss_scale|(num_)?(good|bad)_steps|batch_finite)", "loss scaling"),
    (r"(.*/)?loss_scale/.*", "loss scaling"),
    (r"(.*/)?(local_step|accum_steps|is_accum_step)", "gradient accumulation"),
    (r"save_counter/\.ATTRIBUTES/VARIABLE_VALUE|_CHECKPOINTABLE_OBJECT_GRAPH", "checkpoint bookkeeping"),
)

_VARIABLE = "|".join(re.escape(row.tensorflow).replace(r"\{\}", r"\d+") for row in TABLE)
_SLOT = re.compile(rf"(?:.*/)?({_VARIABLE})/([^/]+)", re.DOTALL)


def rows_for(num_layers: int) -> tuple[Row, ...]:
    """The table with every layer's rows written out, in the order of the network."""
    layers = tuple(row.of_layer(number) for number in range(num_layers) for row in _LAYER)
    return _EMBEDDINGS + layers + _HEADS


def sizes(shape: Iterable[str | int], config: BertConfig) -> tuple[int, ...]:
    """A table shape in numbers."""
    return tuple(dim if isinstance(dim, int) else getattr(config, dim) for dim in shape)


def tensorflow_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every TensorFlow variable of a model of this configuration, with its shape."""
    return {row.tensorflow: sizes(row.shape, config) for row in rows_for(config.num_hidden_layers)}


def transformers_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Every transformers parameter of a model of this configuration, tied ones left out, with its shape."""
    return {
        row.transformers: sizes(row.transformers_shape, config) for row in rows_for(config.num_hidden_layers)
    }


def training_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """The variables of a TensorFlow checkpoint (name → shape) that are no part of the model → why.

    A slot of a variable that the table does not know is not among them: it belongs to something that would be
    lost. Nor is one of another shape than its variable.
    """
    found = {}
    for name, shape in shapes.items():
        slot = slot_of(name, shapes)
        counter = next((why for pattern, why in _COUNTERS if re.fullmatch(pattern, name)), None)
        if slot is not None:
            found[name] = _SLOT_REASONS.get(slot[1], _OTHER_SLOT)
        elif counter is not None and math.prod(shape) == 1:
            found[name] = counter
    return found


def slot_of(name: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str] | None:
    """The variable that this one is a slot of, and what the optimiser calls it; None where it is none.

    shapes: those of a checkpoint's variables, by name. Of a variable that is missing there any shape will do.
    """
    match = _SLOT.fullmatch(name)
    if match is None or tuple(shapes[name]) != tuple(shapes.get(match[1], shapes[name])):
        return None
    return match[1], match[2]


def check_shapes(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Refuse variables (name → shape) that are not exactly the expected ones.

    Raises ContractError naming those that are missing, misshapen or unknown.
    """
    problems = {
        "lacks": sorted(expected.keys() - found.keys()),
        "has the unknown": sorted(found.keys() - expected.keys()),
        "has in another shape": [
            f"{name} {tuple(found[name])}, not {tuple(shape)}"
            for name, shape in expected.items()
            if name in found and tuple(found[name]) != tuple(shape)
        ],
    }
    if any(problems.values()):
        raise ContractError(
            f"{where} " + "; ".join(f"{what} {_some(names)}" for what, names in problems.items() if names),
            "a checkpoint holds exactly the variables of the model's configuration",
            "give a checkpoint of this configuration, or the configuration of this checkpoint",
        )


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
