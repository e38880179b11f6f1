"""Writes and finds a run's checkpoints, to the contract of schemas.checkpoint. For the first rank only."""

from __future__ import annotations

import json
import logging
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import fsspec

from schemas.applied_maps import code_maps_details
from schemas.checkpoint import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    KIND,
    TRAINING_STATE_FILE,
    Checkpoint,
    folder_name,
    list_checkpoints,
    list_saves,
    open_checkpoint,
)
from schemas.errors import ContractError, NotPublished
from schemas.files import exists
from schemas.manifest import (
    Manifest,
    describe_file,
    is_published,
    join,
    publish_manifest,
    read_manifest,
    read_small,
    unpublish,
)
from schemas.model_config import MAX_SEQ_LENGTH, BertConfig
from schemas.vocabulary import VOCAB_FILE, Vocabulary
from trainer.core.backend import Backend
from trainer.core.input.order import Position
from trainer.core.storage import CannotRead, NoAnswer, describe, reading, retried
from trainer.core.writing import CannotWrite, writing

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
    validation_loss: float | None = None
    """What training minimises, on the valid split at this step; null where it was not evaluated."""
    evaluation_due: bool = False
    """This step's evaluation was given up to stop in time, and comes first when the run goes on."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "position": self.position.to_json()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> TrainingState:
        return cls(**{**plain, "position": Position.from_json(plain["position"])})


class CheckpointStore:
    """The checkpoints/ folder of one run."""

    def __init__(self, run_uri: str, keep: int, keep_best: int) -> None:
        """keep: of the newest. keep_best: of those with the lowest validation loss."""
        self._run_uri, self._keep, self._keep_best = run_uri, keep, keep_best

    def save(
        self,
        backend: Backend,
        config: BertConfig,
        vocabulary: Vocabulary,
        max_seq_length: int,
        state: TrainingState,
    ) -> str:
        """Write one checkpoint, then drop the old ones that are not to be kept. Its folder.

        A run that was set back saves a step again, or one before those that it had saved: whatever was saved
        of this step and of later ones goes, but only once this one is whole. Raises CannotWrite; then nothing
        is dropped but what was half written.
        """
        with writing(self._run_uri):
            uri = retried(self._run_uri, lambda: self._new_folder(state.step))
        try:
            with writing(uri):
                self._write(uri, backend, config, vocabulary, max_seq_length, state)
        except CannotWrite as error:
            if not isinstance(error.__cause__, NoAnswer):
                with suppress(OSError):  # it takes room, and without a manifest nobody reads it
                    _remove(uri)
            raise
        try:
            retried(uri, lambda: self._drop_old(state.step, uri))
        except OSError as error:
            LOG.warning("checkpoints besides %s that are not to be kept stay: %s", uri, describe(error))
        return uri

    def _new_folder(self, step: int) -> str:
        """The folder of the step's next save; what a lost process left unfinished of the step goes."""
        last = 0
        for number, save, uri in list_saves(self._run_uri):
            if number == step and is_published(uri):
                last = save
            elif number == step:
                _remove(uri)
        return join(self._run_uri, CHECKPOINTS_FOLDER, folder_name(step, last + 1))

    def _write(
        self,
        uri: str,
        backend: Backend,
        config: BertConfig,
        vocabulary: Vocabulary,
        max_seq_length: int,
        state: TrainingState,
    ) -> None:
        """Write one checkpoint, its manifest last."""
        filesystem, root = fsspec.core.url_to_fs(uri)
        attempt = partial(retried, uri)
        attempt(lambda: filesystem.makedirs(root, exist_ok=True))
        texts = {
            CONFIG_FILE: config.to_json(),
            VOCAB_FILE: "".join(f"{token}\n" for token in vocabulary.tokens),
            TRAINING_STATE_FILE: json.dumps(state.to_json(), indent=2, sort_keys=True) + "\n",
        }
        for name, text in texts.items():
            attempt(partial(filesystem.pipe_file, join(root, name), text.encode()))
        names = [*texts, *attempt(lambda: backend.save(uri, state.step))]
        manifest = Manifest(
            kind=KIND,
            inputs={"vocabulary": vocabulary.fingerprint, "shards": state.shards_fingerprint},
            files=tuple(attempt(partial(describe_file, uri, name, 0)) for name in sorted(names)),
            details={
                "step": state.step,
                "backend": backend.name,
                "vocabulary_fingerprint": vocabulary.fingerprint,
                "special_tokens": asdict(vocabulary.special),
                MAX_SEQ_LENGTH: max_seq_length,
                **code_maps_details(vocabulary.code_maps),
            },
        )
        attempt(lambda: publish_manifest(uri, manifest))

    def newest(self) -> tuple[Checkpoint, TrainingState] | None:
        """The newest checkpoint that is whole, and its state. A damaged one is skipped, and logged.

        The newest is that of the highest step: a save drops those of later steps. None where none was ever
        finished. Raises ContractError where all that were are damaged, or the store does not answer.
        """
        damaged: list[str] = []
        for step, uri in reversed(reading(self._run_uri, partial(list_checkpoints, self._run_uri))):
            try:
                checkpoint = reading(uri, partial(open_checkpoint, uri, verify=True))
            except NotPublished:
                LOG.warning("%s was not finished when the process died; it is skipped", uri)
            except CannotRead:
                raise
            except ContractError as error:
                LOG.error("%s is damaged and is skipped: %s", uri, error.found)
                damaged.append(uri)
            else:
                if damaged:
                    LOG.error("going on from step %d instead: the steps after it are done again", step)
                return checkpoint, reading(uri, partial(read_state, uri))
        if damaged:
            raise ContractError(
                f"every checkpoint in {join(self._run_uri, CHECKPOINTS_FOLDER)} is damaged, the newest being "
                f"{damaged[0]}",
                "a run goes on from a whole checkpoint, and does not start again over one that was lost",
                "copy a whole one back; or remove the folder, or choose another output, to begin anew",
            )
        return None

    def _drop_old(self, step: int, saved: str) -> None:
        """Keep what was just saved of this step and, of earlier steps, the newest and the best published."""
        found = list_checkpoints(self._run_uri)
        newest = {step: saved}
        for number, uri in reversed(found):
            if number < step and number not in newest and is_published(uri):
                newest[number] = uri
        published = list(newest.values())
        kept = {saved, *published[: self._keep]}
        if len(published) > self._keep:
            losses = {uri: _validation_loss(uri) for uri in published}
            kept |= set(sorted(published, key=losses.__getitem__)[: self._keep_best])
        for _, uri in found:
            if uri not in kept:
                _remove(uri)


def _validation_loss(uri: str) -> float:
    """Infinite where it is not known."""
    try:
        loss = read_state(uri).validation_loss
    except (ContractError, FileNotFoundError):
        return math.inf
    return math.inf if loss is None else loss


def read_state(uri: str) -> TrainingState:
    """The training state of a checkpoint folder, by its SHA-256. Raises ContractError."""
    content = read_small(uri, read_manifest(uri, KIND), TRAINING_STATE_FILE)
    try:
        return TrainingState.from_json(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ContractError(
            f"{join(uri, TRAINING_STATE_FILE)} cannot be read ({type(error).__name__})",
            "it is the JSON object that this release's trainer wrote",
            "start a new run with init_checkpoint set to this folder",
        ) from error


def _remove(uri: str) -> None:
    """Remove a checkpoint folder, its manifest first: half removed, it is an unfinished one."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    if exists(filesystem, root):
        unpublish(uri)
        filesystem.rm(root, recursive=True)
