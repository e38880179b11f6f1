"""`python -m conversion verify`: a model folder that stands, against a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from conversion.checkpoints.source import SourceOptions, open_source, states_itself
from conversion.model_folder import read_report
from conversion.report import describe_verification, write_report
from conversion.verify import SOURCE_COMMAND, verify
from schemas.lease import hold
from schemas.manifest import join, read_manifest
from schemas.model import CONFIG_FILE, KIND
from schemas.model_config import read_bert_config
from schemas.scratch import temporary_files_in, temporary_folder
from schemas.vocabulary import VOCAB_FILE


@dataclass(frozen=True, kw_only=True)
class VerifyConfig(SourceOptions):
    """One verification. Of a TensorFlow checkpoint, what is not given is taken from the model folder."""

    model: str
    """The local model folder."""
    shards: str | None = None
    """One split's shards (Parquet), whose first patients are compared besides random ones."""


def verify_folder(config: VerifyConfig, *, source_command: Sequence[str] = SOURCE_COMMAND) -> dict[str, Any]:
    """Compare, and put the finding into the folder's conversion_report.json; returns that section.

    Raises ContractError: VerificationFailed when they differ (the report says by how much), or for a
    folder whose files are not those that were published.
    """
    read_manifest(config.model, KIND, verify=True)
    with hold(config.model), temporary_folder() as scratch, temporary_files_in(scratch):
        return _verify(config, scratch, source_command)


def _verify(config: VerifyConfig, scratch: str, source_command: Sequence[str]) -> dict[str, Any]:
    source = open_source(_completed(config), scratch)
    if not source.states_itself:
        source = source.plainly_named(source.read_weights(), scratch)
    verification = verify(config.model, source, shards=config.shards, source_command=source_command)
    section = describe_verification(verification, source.config.los_pooling)
    write_report(config.model, {**read_report(config.model), "verification": section})
    verification.check(config.model)
    return section


def _completed(config: VerifyConfig) -> VerifyConfig:
    if states_itself(config):
        return config
    model_config = join(config.model, CONFIG_FILE)
    return replace(
        config,
        config=config.config or model_config,
        vocabulary=config.vocabulary or join(config.model, VOCAB_FILE),
        los_pooling=config.los_pooling or read_bert_config(model_config).los_pooling,
    )
