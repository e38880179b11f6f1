"""The tokenizer of a model folder: whole codes to ids, nothing added.

`tokenizer("E11.9 I10")` or `tokenizer(["E11.9", "I10"], is_split_into_words=True)` is one patient; a list
without that flag is a batch. token_type_ids are visit numbers, from 1 as in training: all codes of a text are
one visit, those of a second text (`tokenizer("E11.9 I10", "N18.3")`) the next; for more visits see below. No
[CLS] or [SEP] is put around a patient. Where the vocabulary
has no [UNK] (an imported Med-BERT one) the tokenizers library raises on an unknown code ("Missing [UNK]
token"): the model has no row that could stand for it. encode_patient.py, beside it in the folder, takes any
number of visits, and counts unknown codes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from conversion.shipped.encode_patient import TYPE_VOCAB_SIZE
from conversion.tokens.code_spellings import one_spelling
from schemas.model import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from schemas.vocabulary import SpecialTokens

OPENED_WITH = ("4.40.2", "4.57.6", "5.23.0")
"""Versions of transformers that a folder's tokenizer was opened with; tests hold it."""


def tokenizer_files(
    tokens: Sequence[str], special: SpecialTokens, max_seq_length: int, type_vocab_size: int
) -> dict[str, bytes]:
    """The content of tokenizer.json and tokenizer_config.json; the same bytes each time.

    max_seq_length: what it cuts a patient to, and encode_patient too. See schemas.model_config.
    type_vocab_size: visit numbers are below it; encode_patient refuses more.

    tokenizer_config.json is written here, since a transformers library saves names that only its own major
    version knows.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = {
        f"{role}_token": tokens[token_id] for role, token_id in vars(special).items() if token_id is not None
    }
    unk = {"unk_token": names["unk_token"]} if "unk_token" in names else {}
    core = Tokenizer(models.WordLevel({token: token_id for token_id, token in enumerate(tokens)}, **unk))
    core.add_special_tokens([tokens[token_id] for token_id in sorted(special.ids)])
    spelling = one_spelling(tokens)
    if spelling is not None:
        core.normalizer = spelling
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(single="$A:1", pair="$A:1 $B:2")  # :visit number
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": max_seq_length,
        TYPE_VOCAB_SIZE: type_vocab_size,
        "truncation_side": "left",  # of a long patient the latest codes are kept
        "clean_up_tokenization_spaces": False,
        **names,
    }
    return {
        TOKENIZER_FILE: core.to_str(pretty=True).encode(),
        TOKENIZER_CONFIG_FILE: (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
    }


def unreachable_tokens(folder: str, tokens: Sequence[str]) -> int:
    """How many tokens the folder's tokenizer does not give their id: only ids reach them.

    Those with white space, at which it splits, and ICD codes of an imported vocabulary in another spelling.
    """
    from tokenizers import Tokenizer

    normalizer = Tokenizer.from_file(os.path.join(folder, TOKENIZER_FILE)).normalizer

    def spelt(token: str) -> str:
        return normalizer.normalize_str(token) if normalizer is not None else token

    return sum(1 for token in tokens if len(token.split()) != 1 or spelt(token) != token)
