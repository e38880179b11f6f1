"""The model's configuration: BERT's own `bert_config.json` keys, and what Med-BERT adds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from schemas.errors import ContractError
from schemas.files import parse_json, read_whole_file

LosPooling = Literal["first", "mean", "sum"]

MAX_SEQ_LENGTH = "max_seq_length"
"""How many codes of a patient training saw at most. The positions from there on are as they were initialised,
so whoever reads patients cuts them there, too. It stands beside BERT's own keys, and in the manifest of a
checkpoint."""

TANH_GELU = "gelu_pytorch_tanh"
ACTIVATIONS = (TANH_GELU, "relu", "tanh", "linear")
"""The activations that Google's BERT code can be set to, as transformers names them."""
# "gelu" is the tanh form in BERT's TensorFlow code. gelu_new is the same in transformers.
_OTHER_NAMES = {"gelu": TANH_GELU, "gelu_new": TANH_GELU, "": "linear"}

# Each size with its smallest value: a network without layers is one of embeddings and heads.
_SIZES = {
    "vocab_size": 1,
    "hidden_size": 1,
    "num_hidden_layers": 0,
    "num_attention_heads": 1,
    "intermediate_size": 1,
    "max_position_embeddings": 1,
    "type_vocab_size": 1,
}
_LARGEST_SIZE = 2**31 - 1
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "layer_norm_eps")


@dataclass(frozen=True)
class BertConfig:
    """Sizes and rates of the network (Devlin et al. 2018; Rasmy et al. 2021).

    los_pooling decides what the prolonged-stay head reads. `first`: the pooler's output for the first token
    (tanh of a dense layer), as run_EHRpretraining does. `mean`, `sum`: the mean or sum of the encoder's
    output over the patient's real tokens, straight into the head (run_EHRpretraining_QA2Seq sums, padding
    included).

    trained_pooler: the pooler was trained. True of what this project trains, whatever the head reads; of
    others' models nothing says so, unless the head reads the pooler.
    """

    vocab_size: int
    hidden_size: int = 192
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    intermediate_size: int = 64
    hidden_act: str = TANH_GELU
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 1000
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    los_pooling: LosPooling = "first"
    trained_pooler: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_value(field.name, getattr(self, field.name))
        if self.hidden_size % self.num_attention_heads:
            raise ContractError(
                f"hidden_size {self.hidden_size} with num_attention_heads {self.num_attention_heads}",
                "the heads share the hidden size evenly",
                "choose a hidden_size that is a multiple of num_attention_heads",
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ContractError(
                f"hidden_act is {self.hidden_act[:40]}",
                f"it is one of {', '.join(ACTIVATIONS)}, as in BERT's own code",
                "a checkpoint that was trained with another activation can't be used here",
            )
        if self.los_pooling not in ("first", "mean", "sum"):
            raise ContractError(
                f"los_pooling is {self.los_pooling}", "it is first, mean or sum", "choose one of them"
            )

    @property
    def classifier_reads_pooler(self) -> bool:
        """Whether a classifier may read the pooler, as transformers' does: its weights are trained."""
        return self.trained_pooler or self.los_pooling == "first"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


def _check_value(name: str, value: Any) -> None:
    """Refuse a value that no network can have. Raises ContractError."""
    if name in _SIZES:
        allowed = type(value) is int and _SIZES[name] <= value <= _LARGEST_SIZE
        rule = f"it is a whole number from {_SIZES[name]} to {_LARGEST_SIZE}"
    elif name in _RATES:
        allowed = type(value) in (int, float) and 0 <= value <= 1
        rule = "it is a number from 0 to 1"
    elif name == "trained_pooler":
        allowed, rule = isinstance(value, bool), "it is true or false"
    else:
        allowed, rule = isinstance(value, str), "it is a text"
    if not allowed:
        raise ContractError(f"{name} is {str(value)[:40]}", rule, "mend bert_config.json")


def read_bert_config(uri: str, *, los_pooling: LosPooling | None = None) -> BertConfig:
    """Read a `bert_config.json` (Google's, Med-BERT's or ours).

    BERT's TensorFlow code computes the tanh form of GELU under the name "gelu", so that name is read as
    `gelu_pytorch_tanh`, and no activation as `linear`. Keys that we do not know are ignored. Raises
    ContractError.
    """
    return _bert_config(read_object(uri), uri, los_pooling)


def parse_bert_config(content: bytes, where: str) -> BertConfig:
    """As read_bert_config, of the file's bytes."""
    return _bert_config(_object(content, where), where)


def _bert_config(plain: Mapping[str, Any], uri: str, los_pooling: LosPooling | None = None) -> BertConfig:
    known = {field.name for field in fields(BertConfig)}
    kept = {key: value for key, value in plain.items() if key in known}
    if "vocab_size" not in kept:
        raise ContractError(f"{uri} has no vocab_size", "bert_config.json states the sizes", "check the file")
    stated = kept.get("hidden_act", TANH_GELU)
    kept["hidden_act"] = _OTHER_NAMES.get(stated, stated) if isinstance(stated, str) else stated
    if los_pooling is not None:
        kept["los_pooling"] = los_pooling
    return BertConfig(**kept)


def read_max_seq_length(uri: str, config: BertConfig) -> int:
    """MAX_SEQ_LENGTH of the bert_config.json that `config` was read from. Raises ContractError."""
    return max_seq_length_of(read_object(uri), config, uri)


def parse_max_seq_length(content: bytes, config: BertConfig, where: str) -> int:
    """As read_max_seq_length, of the file's bytes."""
    return max_seq_length_of(_object(content, where), config, where)


def max_seq_length_of(stated: Mapping[str, Any], config: BertConfig, where: str) -> int:
    """MAX_SEQ_LENGTH as it is stated; else every position, as of others' models. Raises ContractError."""
    length = stated.get(MAX_SEQ_LENGTH, config.max_position_embeddings)
    if type(length) is not int or not 1 <= length <= config.max_position_embeddings:
        raise ContractError(
            f"{where} states {MAX_SEQ_LENGTH} {str(length)[:40]}",
            f"it is a whole number from 1 to max_position_embeddings, {config.max_position_embeddings}",
            "state how many codes of a patient training saw at most, or leave it out",
        )
    return length


def read_object(uri: str) -> dict[str, Any]:
    """A bert_config.json or config.json as it stands. Raises ContractError for what is no JSON object."""
    return _object(read_whole_file(uri, "a model has a bert_config.json", "check the path"), uri)


def _object(content: bytes, uri: str) -> dict[str, Any]:
    plain = parse_json(content, uri, "bert_config.json is a JSON object", "check the file")
    if not isinstance(plain, dict):
        raise ContractError(f"{uri} is no object", "bert_config.json is a JSON object", "check the file")
    return plain
