"""A model folder that stands: read it, and write another one of it with a changed vocabulary."""

from __future__ import annotations

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
from schemas.files import read_json, read_text
from schemas.manifest import Manifest, describe_file, join, publish_manifest, read_manifest, read_small
from schemas.model import (
    ABOUT_FILES,
    CARD_FILE,
    CONFIG_FILE,
    KIND,
    REPORT_FILE,
    WEIGHTS_FILE,
)
from schemas.model_config import BertConfig, parse_bert_config, parse_max_seq_length
from schemas.vocabulary import VOCAB_FILE, SpecialTokens, decode_vocab_txt, special_tokens_of

WORDS = "bert.embeddings.word_embeddings.weight"
WORD_BIAS = "cls.predictions.bias"
_REMEDY = "copy the folder again whole, or convert again"


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
        return read_text(join(self.path, name), "a model folder has it, as text in UTF-8", _REMEDY)

    def read_report(self) -> dict[str, Any]:
        """Its conversion_report.json. Raises ContractError."""
        return read_report(self.path)


def open_model(path: str) -> ModelFolder:
    """Read a model folder's description and compare every file's SHA-256. Raises ContractError."""
    manifest = read_manifest(path, KIND, verify=True)
    tokens = decode_vocab_txt(read_small(path, manifest, VOCAB_FILE), join(path, VOCAB_FILE))
    special = special_tokens_of(dict(manifest.details), path)
    code_maps = read_code_maps(manifest.details, path)
    stated = read_small(path, manifest, CONFIG_FILE)
    config = parse_bert_config(stated, join(path, CONFIG_FILE))
    max_seq_length = parse_max_seq_length(stated, config, join(path, CONFIG_FILE))
    return ModelFolder(path, manifest, config, max_seq_length, tokens, special, code_maps)


def read_report(path: str) -> dict[str, Any]:
    """The conversion_report.json of a local model folder. Raises ContractError."""
    rule = "a model folder has the JSON object that the conversion wrote"
    report = read_json(join(path, REPORT_FILE), rule, _REMEDY)
    if not isinstance(report, dict):
        raise ContractError(f"{join(path, REPORT_FILE)} is no JSON object", rule, _REMEDY)
    return report


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
    report = model.read_report()
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
