"""The files of a model folder that follow from its configuration and its vocabulary alone.

Whoever writes a model folder writes these; the release check makes them again, and compares every byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from conversion.tokens.tokenizer import tokenizer_files
from schemas.model import CONFIG_FILE, HELPER_FILES
from schemas.model_config import MAX_SEQ_LENGTH, BertConfig
from schemas.vocabulary import VOCAB_FILE, SpecialTokens

SHIPPED = os.path.join(os.path.dirname(__file__), "shipped")


def folder_content(
    config: BertConfig, max_seq_length: int, tokens: Sequence[str], special: SpecialTokens
) -> dict[str, bytes]:
    """File name → content: the configuration, the vocabulary, the tokenizer's two files and the helpers.

    max_seq_length: see schemas.model_config.
    """
    plain = transformers_config(config, max_seq_length, special)
    return {
        CONFIG_FILE: (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode(),
        VOCAB_FILE: ("\n".join(tokens) + "\n").encode(),
        **tokenizer_files(tokens, special, max_seq_length, config.type_vocab_size),
        **{name: _shipped(name) for name in HELPER_FILES},
    }


def write_files(folder: str, content: Mapping[str, bytes]) -> None:
    """Write each file into a local folder."""
    for name, data in content.items():
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(data)


def transformers_config(config: BertConfig, max_seq_length: int, special: SpecialTokens) -> dict[str, Any]:
    """config.json: transformers' BertConfig, with the keys of our own that schemas.model names."""
    return {
        **config.to_dict(),
        MAX_SEQ_LENGTH: max_seq_length,
        "architectures": ["BertForPreTraining"],
        "model_type": "bert",
        "pad_token_id": special.pad,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def _shipped(name: str) -> bytes:
    with open(os.path.join(SHIPPED, name), "rb") as stream:
        return stream.read()
