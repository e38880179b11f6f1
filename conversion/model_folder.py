"""A model folder that stands: read it, and write another one of it with a changed vocabulary."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conversion.checkpoints.safetensors_file import read_safetensors, write_safetensors
from conversion.folder_content import folder_content, write_files
from conversion.release.card_part import without_part
from conversion.report import write_report
from schemas.applied_maps import AppliedMap, code_maps_details, read_code_maps
from schemas.errors import ContractError
from schemas.manifest import Manifest, describe_file, join, publish_manifest, read_manifest
from schemas.model import (
    ABOUT_FILES,
    CARD_FILE,
    CONFIG_FILE,
    KIND,
    REPORT_FILE,
    WEIGHTS_FILE,
)
from schemas.model_config import BertConfig, read_bert_config, read_max_seq_length
from schemas.small_files import read_small_file
from schemas.vocabulary import VOCAB_FILE, SpecialTokens, decode_vocab_txt, special_tokens_of

WORDS = "bert.embeddings.word_embeddings.weight"
WORD_BIAS = "cls.predictions.bias"


@dataclass(frozen=True)
class ModelFolder:
    """A local model folder. max_seq_length: see schemas.model_config."""

    path: str
    manifest: Manifest
    config: BertConfig
    max_seq_length: int
    tokens: tuple[str, ...]
    special: SpecialTokens
    code_maps: tuple[AppliedMap, ...]

    @property
    def codes(self) -> dict[str, int]:
        """Token → id, special tokens left out."""
        return {t: i for i, t in enumerate(self.tokens) if i not in self.special.ids}

    def read_arrays(self) -> dict[str, np.ndarray]:
        """transformers' parameter name → array."""
        return read_safetensors(join(self.path, WEIGHTS_FILE))

    def read_text(self, name: str) -> str:
        """One of its files. Raises ContractError where it is missing or no UTF-8."""
        try:
            return read_small_file(join(self.path, name)).decode()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise ContractError(
                f"{join(self.path, name)} cannot be read ({type(error).__name__})",
                "a model folder has it, as text in UTF-8",
                "copy the folder again whole, or convert again",
            ) from error


def open_model(path: str) -> ModelFolder:
    """Read a model folder's description and compare every file's SHA-256. Raises ContractError."""
    manifest = read_manifest(path, KIND, verify=True)
    tokens = decode_vocab_txt(read_small_file(join(path, VOCAB_FILE)), join(path, VOCAB_FILE))
    special = special_tokens_of(dict(manifest.details), path)
    code_maps = read_code_maps(manifest.details, path)
    config = read_bert_config(join(path, CONFIG_FILE))
    max_seq_length = read_max_seq_length(join(path, CONFIG_FILE), config)
    return ModelFolder(path, manifest, config, max_seq_length, tokens, special, code_maps)


def write_changed(
    folder: str,
    model: ModelFolder,
    arrays: Mapping[str, np.ndarray],
    tokens: Sequence[str],
    special: SpecialTokens,
) -> None:
    """Fill a local folder with `model` of other arrays and tokens; card, report and manifest are left out."""
    config = replace(model.config, vocab_size=len(arrays[WORDS]))
    write_safetensors(os.path.join(folder, WEIGHTS_FILE), arrays)
    write_files(folder, folder_content(config, model.max_seq_length, tokens, special))


def publish_changed(
    folder: str,
    model: ModelFolder,
    special: SpecialTokens,
    change: Mapping[str, Any],
    card_section: str,
    inputs: Mapping[str, str],
    code_maps: Sequence[AppliedMap],
) -> None:
    """Write the card, the report and, last, the manifest of a folder that write_changed filled.

    What a release check said of the older model is left out: it was not of this one. code_maps: those that
    codes of the changed model went through.
    """
    with open(os.path.join(folder, CARD_FILE), "w", encoding="utf-8") as stream:
        stream.write(without_part(model.read_text(CARD_FILE)) + "\n" + card_section)
    report = json.loads(model.read_text(REPORT_FILE))
    changes = [*report.get("vocabulary_changes", []), dict(change)]
    write_report(folder, {**report, "vocabulary_changes": changes})
    names = sorted(set(os.listdir(folder)) - ABOUT_FILES)
    manifest = Manifest(
        kind=KIND,
        parameters={**model.manifest.parameters, "vocabulary_change": change["change"]},
        inputs={"model": model.manifest.fingerprint, **inputs},
        files=tuple(describe_file(folder, name, 0) for name in names),
        counts=model.manifest.counts,
        details={**model.manifest.details, "special_tokens": vars(special), **code_maps_details(code_maps)},
    )
    publish_manifest(folder, manifest)
