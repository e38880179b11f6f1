"""What must hold before the first step: the data, the model and a checkpoint belong together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from schemas.checkpoint import Checkpoint
from schemas.errors import ContractError
from schemas.model_config import BertConfig
from schemas.shards import ShardSet
from schemas.vocabulary import Vocabulary
from trainer.config import PretrainConfig
from trainer.core.checkpoints import TrainingState

LOG = logging.getLogger(__name__)

_MAY_CHANGE = (
    "output",
    "data.shards",
    "data.vocabulary",
    "data.reader",
    "init_checkpoint",
    "keep_checkpoints",
    "keep_best",
    "commit_every",
    "detect_anomaly",
)
"""Options that change nothing in a resumed run's losses: the same shards may have moved."""


def check_data(
    config: PretrainConfig, model: BertConfig, vocabulary: Vocabulary, train: ShardSet, valid: ShardSet
) -> None:
    """Refuse shards that this model cannot be trained on. Raises ContractError."""
    for shards in (train, valid):
        if shards.vocabulary_fingerprint != vocabulary.fingerprint:
            raise ContractError(
                f"{shards.uri} was written with vocabulary {_short(shards.vocabulary_fingerprint)} of "
                f"{shards.vocabulary_size} tokens; {config.data.vocabulary} is "
                f"{_short(vocabulary.fingerprint)} of {len(vocabulary)} tokens",
                "shards and model use one vocabulary, or ids mean other codes",
                "give the vocabulary that the shards were written with, or write the shards with this one",
            )
        visits = min(shards.max_visits, config.data.max_seq_length)
        if visits >= model.type_vocab_size:
            raise ContractError(
                f"{shards.uri} has patients with {shards.max_visits} visits; up to {visits} are read",
                f"visit numbers are below model.type_vocab_size, which is {model.type_vocab_size}",
                f"set model.type_vocab_size to {visits + 1} or more, or lower data.max_seq_length",
            )
    if not train.num_patients:
        raise ContractError(
            f"{train.uri} has no patients",
            "a model is trained on at least one patient",
            "ingest more patients, or make vocabulary and sequences with lower minimums of codes a patient "
            "(MIN_CODES) and patients a code (MIN_PATIENTS)",
        )


def check_resume(
    config: PretrainConfig,
    backend_name: str,
    model: BertConfig,
    vocabulary: Vocabulary,
    train: ShardSet,
    checkpoint: Checkpoint,
    state: TrainingState,
) -> None:
    """Refuse a checkpoint of another run; warn of other options that were changed. Raises ContractError."""
    found: dict[str, tuple[Any, Any]] = {
        "the backend": (checkpoint.backend, backend_name),
        "the vocabulary": (checkpoint.vocabulary_fingerprint, vocabulary.fingerprint),
        "the shards": (state.shards_fingerprint, train.fingerprint),
        "the seed": (state.seed, config.seed),
    }
    found |= {
        f"model.{name}": pair for name, pair in _differences(checkpoint.config.to_dict(), model.to_dict())
    }
    different = [
        f"{name} was {_short(old)}, now is {_short(new)}" for name, (old, new) in found.items() if old != new
    ]
    if different:
        raise ContractError(
            f"{checkpoint.uri} is of another run: {'; '.join(different)}",
            "a run goes on with the model, vocabulary, shards, backend and seed that it began with",
            "set them back, or choose another output (with init_checkpoint to begin from these weights)",
        )
    for name, (old, new) in _differences(state.config, asdict(config)):
        if name not in _MAY_CHANGE:
            LOG.warning("%s was %s and now is %s: the run goes on with the new value", name, old, new)


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(dotted name, (old, new)) of every option that differs."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}", (before, after)


def _short(value: Any) -> str:
    """A value for a message; of a fingerprint the beginning."""
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
