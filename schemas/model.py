"""`model/`: what `transformers` loads with `from_pretrained`, and how it was made.

| file | what |
|---|---|
| config.json | transformers' BertConfig; `los_pooling`, `trained_pooler`, `max_seq_length` beside its keys |
| model.safetensors | BertForPreTraining's parameters, float32; tied ones once |
| tokenizer.json, tokenizer_config.json | whole codes to ids; it states `type_vocab_size`, too |
| encode_patient.py, los_head.py | conversion's, byte for byte: visits to inputs, prolonged-stay head |
| vocab.txt | a token a line; the line number from 0 is the id |
| README.md | the model card |
| conversion_report.json, release_report.json | how the conversion and the release check went |
| manifest.json | written last; card and reports are no part of the content, so not in its files |

A folder that transformers saved again has no vocab.txt: tokenizer.json has its tokens, too.

`max_seq_length` is explained in schemas.model_config; visit numbers are below `type_vocab_size`. Of mapped
codes the manifest has `code_maps` (schemas.applied_maps).
"""

from __future__ import annotations

import json

import fsspec

from schemas.errors import ContractError
from schemas.files import exists
from schemas.manifest import join
from schemas.small_files import read_small_file
from schemas.vocabulary import VOCAB_FILE, decode_vocab_txt

KIND = "model"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
HELPER_FILES = ("encode_patient.py", "los_head.py")
CARD_FILE = "README.md"
REPORT_FILE = "conversion_report.json"
RELEASE_REPORT_FILE = "release_report.json"
ABOUT_FILES = frozenset({CARD_FILE, REPORT_FILE, RELEASE_REPORT_FILE})


def read_model_tokens(uri: str) -> tuple[str, ...]:
    """The tokens of a model folder, by id: those of vocab.txt, or of tokenizer.json where there is none.

    Raises ContractError, and OSError (or what its driver raises) when a store fails.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    for name, parse in ((VOCAB_FILE, decode_vocab_txt), (TOKENIZER_FILE, _parse_tokenizer)):
        if exists(filesystem, join(root, name)):
            return parse(read_small_file(join(uri, name)), join(uri, name))
    raise ContractError(f"{uri} has no {VOCAB_FILE} and no {TOKENIZER_FILE}", _TOKENS_RULE, _TOKENS_REMEDY)


_TOKENS_RULE = f"a model folder has its tokens in {VOCAB_FILE}, a token a line, or in {TOKENIZER_FILE}"
_TOKENS_REMEDY = "save the tokenizer into the folder, too (tokenizer.save_pretrained)"


def _parse_tokenizer(content: bytes, where: str) -> tuple[str, ...]:
    """The tokens of a tokenizer.json, by id. Raises ContractError."""
    try:
        plain = json.loads(content)
        ids = {**plain["model"]["vocab"], **{t["content"]: t["id"] for t in plain.get("added_tokens") or ()}}
        tokens = tuple(sorted(ids, key=ids.__getitem__))
        known = [ids[token] for token in tokens] == list(range(len(tokens)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ContractError(
            f"{where} cannot be read ({type(error).__name__})", _TOKENS_RULE, _TOKENS_REMEDY
        ) from error
    if not known or not tokens:
        raise ContractError(f"{where} has no ids from 0 on without a gap", _TOKENS_RULE, _TOKENS_REMEDY)
    return tokens
