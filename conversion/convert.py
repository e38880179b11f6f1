"""A checkpoint in, a verified model folder out."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from conversion.bert_map import Mapped, map_arrays
from conversion.bundle import staged_folder
from conversion.checkpoints.safetensors_file import write_safetensors
from conversion.checkpoints.source import Source, SourceOptions, open_source
from conversion.folder_content import folder_content, write_files
from conversion.model_card import model_card
from conversion.report import describe, write_report
from conversion.verify import SOURCE_COMMAND, verify
from schemas.applied_maps import code_maps_details
from schemas.manifest import Manifest, describe_file, is_published, publish_manifest, read_manifest
from schemas.model import ABOUT_FILES, CARD_FILE, KIND, WEIGHTS_FILE
from schemas.shards import KIND as SHARDS_KIND
from schemas.shards import PARQUET
from schemas.vocabulary import VOCAB_FILE

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(SourceOptions):
    """One conversion."""

    output: str
    """The model folder to write; an older model folder there is replaced."""
    shards: str | None = None
    """One split's shards (Parquet), whose first patients are compared besides random ones."""
    shards_if_there: str | None = None
    """As shards; where that folder is not there, or has no Parquet, random patients alone are compared, and
    the log says so."""


def convert(config: ConvertConfig, *, source_command: Sequence[str] = SOURCE_COMMAND) -> dict[str, Any]:
    """Convert, verify, publish; returns the report. Nothing is left at `output` when anything fails.

    Raises ContractError (ConversionRefused, VerificationFailed among them) and ProcessFailed.
    """
    started = time.monotonic()
    shards = config.shards or _shards_if_there(config.shards_if_there)
    with (
        staged_folder(config.output, KIND) as staging,
        tempfile.TemporaryDirectory(prefix="convert-") as scratch,
    ):
        source = open_source(config, scratch)
        weights = source.read_weights()
        mapped = map_arrays(weights.arrays, source.config, source.naming, "transformers", source.name)
        mapped = replace(mapped, ignored=mapped.ignored | weights.ignored, num_renamed=weights.num_renamed)
        write_model(staging, source, mapped)
        runnable = source.plainly_named(weights, scratch)
        verification = verify(staging, runnable, shards=shards, source_command=source_command)
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


def _shards_if_there(uri: str | None) -> str | None:
    if uri is None:
        return None
    if not is_published(uri):
        why = "is not there"
    elif not any(file.path.endswith(f".{PARQUET}") for file in read_manifest(uri, SHARDS_KIND).files):
        why = "has no Parquet"
    else:
        return uri
    _log.warning("%s %s: source and target are compared on random patients alone", uri, why)
    return None


def write_model(folder: str, source: Source, mapped: Mapped) -> None:
    """Everything that `transformers` loads, and the card, into a local folder."""
    vocabulary = source.vocabulary
    write_safetensors(os.path.join(folder, WEIGHTS_FILE), mapped.arrays)
    content = folder_content(source.config, source.max_seq_length, vocabulary.tokens, vocabulary.special)
    write_files(folder, {**content, CARD_FILE: (model_card(source, mapped) + "\n").encode()})


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
