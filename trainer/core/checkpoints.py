"""Writes and finds a run's checkpoints, to the contract of schemas.checkpoint. For the first rank only."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

import fsspec

from schemas.checkpoint import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    KIND,
    TRAINING_STATE_FILE,
    Checkpoint,
    folder_name,
    list_checkpoints,
    open_checkpoint,
)
from schemas.errors import ContractError, NotPublished
from schemas.manifest import (
    MANIFEST_NAME,
    Manifest,
    describe_file,
    join,
    publish_manifest,
    unpublish,
)
from schemas.model_config import BertConfig
from schemas.vocabulary import VOCAB_FILE, Vocabulary
from trainer.core.backend import Backend
from trainer.core.order import Position

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """Everything besides weights and optimiser slots that a run goes on from.

    Masks, order and dropout are functions of seed, epoch, step and rank, so no generator has a state to keep.
    """

    step: int
    position: Position
    seed: int
    shards_fingerprint: str
    patients_seen: int
    patients_cut: int
    interval: dict[str, Any]
    """trainer.core.metrics.IntervalMeans at this step"""
    config: dict[str, Any]
    """The run's configuration, to say what was changed when it is resumed with another one."""
    evaluation_due: bool = False
    """This step's evaluation was given up to stop in time, and comes first when the run goes on."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "position": self.position.to_json()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> TrainingState:
        return cls(**{**plain, "position": Position.from_json(plain["position"])})


class CheckpointStore:
    """The checkpoints/ folder of one run."""

    def __init__(self, run_uri: str, keep: int) -> None:
        self._run_uri, self._keep = run_uri, keep

    def save(self, backend: Backend, config: BertConfig, vocabulary: Vocabulary, state: TrainingState) -> str:
        """Write one checkpoint, its manifest last; then drop the oldest beyond those to keep. Its folder."""
        uri = join(self._run_uri, CHECKPOINTS_FOLDER, folder_name(state.step))
        filesystem, root = fsspec.core.url_to_fs(uri)
        _remove(uri)  # what a lost process left
        filesystem.makedirs(root, exist_ok=True)
        texts = {
            CONFIG_FILE: config.to_json(),
            VOCAB_FILE: "".join(f"{token}\n" for token in vocabulary.tokens),
            TRAINING_STATE_FILE: json.dumps(state.to_json(), indent=2, sort_keys=True) + "\n",
        }
        for name, text in texts.items():
            filesystem.pipe_file(join(root, name), text.encode())
        names = [*texts, *backend.save(uri, state.step)]
        publish_manifest(
            uri,
            Manifest(
                kind=KIND,
                inputs={"vocabulary": vocabulary.fingerprint, "shards": state.shards_fingerprint},
                files=tuple(describe_file(uri, name, 0) for name in sorted(names)),
                details={
                    "step": state.step,
                    "backend": backend.name,
                    "vocabulary_fingerprint": vocabulary.fingerprint,
                    "special_tokens": asdict(vocabulary.special),
                },
            ),
        )
        self._drop_old(state.step)
        return uri

    def newest(self) -> tuple[Checkpoint, TrainingState] | None:
        """The newest checkpoint that is whole, and its state. A damaged one is skipped, and logged."""
        for _, uri in reversed(list_checkpoints(self._run_uri)):
            try:
                checkpoint = open_checkpoint(uri, verify=True)
            except NotPublished:
                LOG.warning("%s was not finished when the process died; it is skipped", uri)
            except ContractError as error:
                LOG.error("%s is damaged and is skipped: %s", uri, error.found)
            else:
                return checkpoint, read_state(uri)
        return None

    def _drop_old(self, step: int) -> None:
        """Keep the newest published checkpoints up to this step, and nothing that is older."""
        published = 0
        for number, uri in reversed(list_checkpoints(self._run_uri)):
            filesystem, root = fsspec.core.url_to_fs(uri)
            if number > step or (filesystem.exists(join(root, MANIFEST_NAME)) and published < self._keep):
                published += number <= step
            else:
                _remove(uri)


def read_state(uri: str) -> TrainingState:
    """The training state of a checkpoint folder. Raises ContractError."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    try:
        return TrainingState.from_json(json.loads(filesystem.cat_file(join(root, TRAINING_STATE_FILE))))
    except (ValueError, TypeError, KeyError) as error:
        raise ContractError(
            f"{join(uri, TRAINING_STATE_FILE)} cannot be read ({type(error).__name__})",
            "it is the JSON object that this release's trainer wrote",
            "start a new run with init_checkpoint set to this folder",
        ) from error


def _remove(uri: str) -> None:
    """Remove a checkpoint folder, its manifest first: half removed, it is an unfinished one."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    if filesystem.exists(root):
        unpublish(uri)
        filesystem.rm(root, recursive=True)
