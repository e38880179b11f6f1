"""The vocabulary of a checkpoint from anywhere: a folder, a vocab.txt, a `.types` file, or none."""

from __future__ import annotations

from dataclasses import dataclass

import fsspec

from schemas.applied_maps import AppliedMap
from schemas.errors import ContractError
from schemas.files import read_text
from schemas.medbert_types import read_types
from schemas.vocabulary import (
    MEDBERT_SPECIAL_TOKENS,
    SPECIAL_TOKENS,
    SpecialTokens,
    parse_vocab_txt,
    read_vocabulary,
)


@dataclass(frozen=True)
class ModelVocabulary:
    """tokens[i] has id i.

    origin: what it was read from, in words. fingerprint: of a vocabulary folder. code_maps: which its codes
    went through before they were counted. num_merged, num_unrecognised: as in schemas.medbert_types, for a
    `.types` file.
    """

    tokens: tuple[str, ...]
    special: SpecialTokens
    origin: str
    fingerprint: str | None = None
    code_maps: tuple[AppliedMap, ...] = ()
    num_merged: int = 0
    num_unrecognised: int = 0

    def check_fits(self, vocab_size: int) -> None:
        """Refuse more tokens than the model has rows; fewer is allowed. Raises ContractError."""
        if len(self.tokens) > vocab_size:
            raise ContractError(
                f"the vocabulary has {len(self.tokens)} tokens and the model {vocab_size} rows",
                "every token has a row of the embedding",
                "give the vocabulary that the checkpoint was trained with",
            )


def load_vocabulary(uri: str | None, vocab_size: int) -> ModelVocabulary:
    """Read whichever form `uri` has; without one, ids stand for the codes. Raises ContractError."""
    if uri is None:
        tokens = (SPECIAL_TOKENS[0], *(f"[CODE_{i}]" for i in range(1, vocab_size)))
        vocabulary = ModelVocabulary(tokens, MEDBERT_SPECIAL_TOKENS, "none: placeholders [CODE_<id>]")
    elif uri.endswith(".types"):
        types = read_types(uri)
        vocabulary = ModelVocabulary(
            types.tokens,
            types.special,
            "Med-BERT .types",
            num_merged=len(types.merged),
            num_unrecognised=len(types.unrecognised),
        )
    else:
        vocabulary = _read_folder_or_text(uri)
    vocabulary.check_fits(vocab_size)
    return vocabulary


def _read_folder_or_text(uri: str) -> ModelVocabulary:
    filesystem, path = fsspec.core.url_to_fs(uri)
    if filesystem.isdir(path):
        folder = read_vocabulary(uri)
        return ModelVocabulary(
            folder.tokens, folder.special, "vocabulary folder", folder.fingerprint, folder.code_maps
        )
    rule = "a vocabulary is a folder, a .types file or a vocab.txt, which has a token a line"
    tokens = parse_vocab_txt(read_text(uri, rule, "give one of these"), uri)
    return ModelVocabulary(tokens, _special_by_name(tokens, uri), "vocab.txt")


def _special_by_name(tokens: tuple[str, ...], uri: str) -> SpecialTokens:
    """A vocab.txt alone states no special tokens: they are found by their names."""
    ids = {name: tokens.index(name) for name in SPECIAL_TOKENS if name in tokens}
    pad, unk, cls, mask = (ids.get(name) for name in SPECIAL_TOKENS)
    if pad is None:
        raise ContractError(
            f"{uri} has no {SPECIAL_TOKENS[0]}", "a vocabulary has a padding token", "name it so in the file"
        )
    return SpecialTokens(pad=pad, unk=unk, cls=cls, mask=pad if mask is None else mask)
