"""`python -m conversion to-tensorflow`: a transformers folder back to a TensorFlow checkpoint.

So a run can go on in the other backend (`--init_checkpoint PREFIX`), and the original's tools can read it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import numpy as np

from conversion.bert_map import map_arrays
from conversion.bundle import staged_folder
from conversion.checkpoints.safetensors_file import read_safetensors
from conversion.checkpoints.tf_checkpoint import read_tensorflow_checkpoint, write_tensorflow_checkpoint
from conversion.errors import VerificationFailed
from schemas.checkpoint import TENSORFLOW_MODEL_KIND as KIND
from schemas.checkpoint import tensorflow_prefix
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, describe_file, join, publish_manifest, read_manifest
from schemas.model import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, read_model_tokens
from schemas.model import KIND as MODEL_KIND
from schemas.model_config import (
    MAX_SEQ_LENGTH,
    TANH_GELU,
    BertConfig,
    read_bert_config,
    read_max_seq_length,
    read_object,
)
from schemas.vocabulary import VOCAB_FILE

BERT_CONFIG_FILE = "bert_config.json"
_ERF_GELU = "gelu"


@dataclass(frozen=True, kw_only=True)
class ToTensorflowConfig:
    """One conversion back."""

    model: str
    """A local folder of a BertForPreTraining, with its weights in one model.safetensors."""
    output: str
    """The folder to write: model.ckpt-<step>, bert_config.json and vocab.txt."""


def to_tensorflow(config: ToTensorflowConfig) -> str:
    """Write the checkpoint, read it again and compare every bit; returns its prefix. Raises ContractError."""
    manifest = _manifest_of(config.model)
    bert_config = _read_config(config.model)
    arrays = read_safetensors(join(config.model, WEIGHTS_FILE))
    variables = map_arrays(arrays, bert_config, "transformers", "tensorflow", config.model).arrays
    step = (manifest.details.get("step") if manifest else None) or 0
    prefix = tensorflow_prefix(step)
    with staged_folder(config.output, KIND) as staging:
        write_tensorflow_checkpoint(os.path.join(staging, prefix), variables)
        _check_equal(os.path.join(staging, prefix), variables)
        length = read_max_seq_length(join(config.model, CONFIG_FILE), bert_config)
        # BERT's own code knows the tanh form by the name "gelu" only.
        activation = "gelu" if bert_config.hidden_act == TANH_GELU else bert_config.hidden_act
        plain = {**bert_config.to_dict(), MAX_SEQ_LENGTH: length, "hidden_act": activation}
        with open(os.path.join(staging, BERT_CONFIG_FILE), "w", encoding="utf-8") as stream:
            stream.write(json.dumps(plain, indent=2, sort_keys=True) + "\n")
        if any(os.path.exists(join(config.model, name)) for name in (VOCAB_FILE, TOKENIZER_FILE)):
            with open(os.path.join(staging, VOCAB_FILE), "w", encoding="utf-8") as stream:
                stream.write("\n".join(read_model_tokens(config.model)) + "\n")
        files = tuple(describe_file(staging, name, 0) for name in sorted(os.listdir(staging)))
        inputs = {"model": manifest.fingerprint} if manifest else {}
        publish_manifest(staging, Manifest(kind=KIND, inputs=inputs, files=files, details={"step": step}))
    return join(config.output, prefix)


def _manifest_of(model: str) -> Manifest | None:
    """None for a folder that another tool wrote."""
    if not os.path.exists(join(model, MANIFEST_NAME)):
        return None
    return read_manifest(model, MODEL_KIND, verify=True)


def _read_config(model: str) -> BertConfig:
    uri = join(model, CONFIG_FILE)
    stated = read_object(uri).get("hidden_act", _ERF_GELU)
    if stated == _ERF_GELU:
        raise ContractError(
            f"{uri} states hidden_act {stated}",
            "that is the erf form of GELU in transformers, and BERT's TensorFlow code computes the tanh form "
            f"({TANH_GELU})",
            "only a model of that form can go back to TensorFlow",
        )
    return read_bert_config(uri)


def _check_equal(prefix: str, variables: dict[str, np.ndarray]) -> None:
    written = read_tensorflow_checkpoint(prefix).variables
    wrong = sorted(
        name
        for name in variables.keys() | written.keys()
        if name not in written
        or name not in variables
        or written[name].tobytes() != variables[name].tobytes()
    )
    if wrong:
        raise VerificationFailed(
            f"{prefix} does not hold what was written: {', '.join(wrong)}",
            "the way back is equal bit for bit",
            "write it again",
        )
