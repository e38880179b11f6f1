"""A checkpoint in, a verified model folder out."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from conversion.bert_map import Mapped, map_arrays
from conversion.bundle import staged_folder
from conversion.checkpoints.safetensors_file import write_safetensors
from conversion.checkpoints.source import Source, SourceOptions, open_source
from conversion.model_card import model_card
from conversion.report import describe, write_report
from conversion.tokens.tokenizer import write_tokenizer
from conversion.verify import SOURCE_COMMAND, verify
from schemas.applied_maps import code_maps_details
from schemas.manifest import Manifest, describe_file, publish_manifest
from schemas.model import ABOUT_FILES, CARD_FILE, CONFIG_FILE, HELPER_FILES, KIND, WEIGHTS_FILE
from schemas.model_config import MAX_SEQ_LENGTH
from schemas.vocabulary import VOCAB_FILE

SHIPPED = os.path.join(os.path.dirname(__file__), "shipped")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(SourceOptions):
    """One conversion."""

    output: str
    """The model folder to write; an older model folder there is replaced."""
    shards: str | None = None
    """One split's shards (Parquet), whose first patients are compared besides random ones."""


def convert(config: ConvertConfig, *, source_command: Sequence[str] = SOURCE_COMMAND) -> dict[str, Any]:
    """Convert, verify, publish; returns the report. Nothing is left at `output` when anything fails.

    Raises ContractError (ConversionRefused, VerificationFailed among them) and ProcessFailed.
    """
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="convert-") as scratch,
        staged_folder(config.output, KIND) as staging,
    ):
        source = open_source(config, scratch)
        weights = source.read_weights()
        mapped = map_arrays(weights.arrays, source.config, source.naming, "transformers", source.name)
        mapped = replace(mapped, ignored=mapped.ignored | weights.ignored, num_renamed=weights.num_renamed)
        write_model(staging, source, mapped)
        runnable = source.plainly_named(weights, scratch)
        verification = verify(staging, runnable, shards=config.shards, source_command=source_command)
        verification.check(source.name)
        report = describe(staging, source, mapped, verification, time.monotonic() - started)
        write_report(staging, report)
        publish_manifest(staging, _manifest(staging, source, mapped))
    output, difference = verification.agreement.worst
    limit = verification.agreement.limits[output]
    _log.info(
        "%s: converted and verified; %s differs by %.1e, at most allowed %.1e",
        *(config.output, output, difference, limit),
    )
    return report


def write_model(folder: str, source: Source, mapped: Mapped) -> None:
    """Everything that `transformers` loads, and the card, into a local folder."""
    vocabulary = source.vocabulary
    write_safetensors(os.path.join(folder, WEIGHTS_FILE), mapped.arrays)
    write_tokenizer(folder, vocabulary.tokens, vocabulary.special, source.max_seq_length)
    for name in HELPER_FILES:
        shutil.copyfile(os.path.join(SHIPPED, name), os.path.join(folder, name))
    texts = {
        CONFIG_FILE: json.dumps(transformers_config(source), indent=2, sort_keys=True),
        VOCAB_FILE: "\n".join(vocabulary.tokens),
        CARD_FILE: model_card(source, mapped),
    }
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text + "\n")


def transformers_config(source: Source) -> dict[str, Any]:
    """config.json: transformers' BertConfig, with los_pooling and max_seq_length beside it."""
    return {
        **source.config.to_dict(),
        MAX_SEQ_LENGTH: source.max_seq_length,
        "architectures": ["BertForPreTraining"],
        "model_type": "bert",
        "pad_token_id": source.vocabulary.special.pad,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def _manifest(folder: str, source: Source, mapped: Mapped) -> Manifest:
    names = sorted(set(os.listdir(folder)) - ABOUT_FILES)
    rows = {VOCAB_FILE: len(source.vocabulary.tokens)}
    inputs = {"checkpoint": source.fingerprint}
    if source.vocabulary.fingerprint is not None:
        inputs["vocabulary"] = source.vocabulary.fingerprint
    return Manifest(
        kind=KIND,
        parameters={"los_pooling": source.config.los_pooling, "use_ema": source.use_ema},
        inputs=inputs,
        files=tuple(describe_file(folder, name, rows.get(name, 0)) for name in names),
        counts={"variables_consumed": len(mapped.consumed), "variables_ignored": len(mapped.ignored)},
        details={
            "special_tokens": vars(source.vocabulary.special),
            "step": source.step,
            **code_maps_details(source.vocabulary.code_maps),
        },
    )
