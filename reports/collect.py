"""Everything a run's folders say about themselves: which are there, whole, and with what manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import fsspec

from reports.files import read_json
from reports.training_log import TrainingLog, read_training_log
from schemas import claims, diagnoses, model, sequences, shards, vocabulary
from schemas.checkpoint import latest_checkpoint
from schemas.code_maps import MAPPED_FOLDER
from schemas.errors import ContractError, NotPublished
from schemas.manifest import Manifest, join, read_manifest

PRETRAIN_FOLDER = "pretrain"
MODEL_FOLDER = "model"

# What a folder, or a stage with all its folders, is found to be.
DONE = "done"
UNFINISHED = "unfinished"
DAMAGED = "damaged"
MISSING = "not run"
ELSEWHERE = "not in this run"


@dataclass(frozen=True)
class StageSpec:
    """A stage of the pipeline. folders: path below the run → the kind that its manifest states.

    optional: a run without it lacks nothing, and does not show it.
    """

    name: str
    title: str
    folders: dict[str, str]
    optional: bool = False


STAGES = (
    StageSpec("claims", "Claims", {claims.CLAIMS_FOLDER: claims.KIND}),
    StageSpec(
        "ingest", "Ingest", {"diagnoses": diagnoses.KIND, "diagnoses_rejected": diagnoses.REJECTED_KIND}
    ),
    StageSpec("map", "Code mapping", {MAPPED_FOLDER: diagnoses.KIND}, optional=True),
    StageSpec("vocabulary", "Vocabulary", {"vocabulary": vocabulary.KIND}),
    StageSpec("sequences", "Sequences", {"sequences": sequences.KIND}),
    StageSpec("shards", "Shards", {f"shards/{split}": shards.KIND for split in sequences.SPLITS}),
    StageSpec("pretrain", "Pretraining", {PRETRAIN_FOLDER: "checkpoint"}),
    StageSpec("convert", "Conversion", {MODEL_FOLDER: model.KIND}),
)


@dataclass(frozen=True)
class Folder:
    """One output folder as it was found. problem: why it cannot be read (state DAMAGED)."""

    path: str
    state: str
    manifest: Manifest | None = None
    problem: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage with its folders as found. state: MISSING may still be run, ELSEWHERE was done outside it."""

    spec: StageSpec
    folders: tuple[Folder, ...]
    state: str

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(folder.problem for folder in self.folders if folder.problem)


@dataclass(frozen=True)
class Run:
    """All of a run that the report needs. name: the run folder's own name."""

    uri: str
    name: str
    stages: tuple[Stage, ...]
    training: TrainingLog | None
    conversion: dict[str, Any] | None
    release: dict[str, Any] | None = None

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.spec.name == name)

    def folders(self) -> Iterator[Folder]:
        for stage in self.stages:
            yield from stage.folders

    def manifest(self, path: str) -> Manifest | None:
        """The manifest of the folder at this path below the run; None when it isn't there or is damaged."""
        return next((folder.manifest for folder in self.folders() if folder.path == path), None)

    def count(self, path: str, name: str) -> int | None:
        """What the folder's stage counted under this name; None when it did not."""
        manifest = self.manifest(path)
        return manifest.counts.get(name) if manifest else None

    def num_rows(self, path: str) -> int | None:
        """Rows in the folder's files; None when there is no such folder."""
        manifest = self.manifest(path)
        return manifest.num_rows if manifest else None


def collect(uri: str) -> Run:
    """Read a run folder through fsspec; stages that have not run are marked, not refused.

    Raises ContractError when the folder does not exist, or holds none of a run's folders.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    if not filesystem.isdir(root):
        raise ContractError(
            f"{uri} is not a folder", "a run is a folder", "check the path, or run a stage first"
        )
    training = read_training_log(join(uri, PRETRAIN_FOLDER))
    every = [_stage(uri, spec, training) for spec in STAGES]
    stages = _mark_elsewhere([stage for stage in every if stage.state != MISSING or not stage.spec.optional])
    if all(stage.state == MISSING for stage in stages):
        raise ContractError(
            f"{uri} holds no finished stage",
            "a run folder has the folders " + ", ".join(path for spec in STAGES for path in spec.folders),
            "check the path, or run a stage first (make help)",
        )
    return Run(
        uri=uri,
        name=root.rstrip("/").rsplit("/", 1)[-1],
        stages=stages,
        training=training,
        conversion=read_json(join(uri, MODEL_FOLDER, model.REPORT_FILE)),
        release=read_json(join(uri, MODEL_FOLDER, model.RELEASE_REPORT_FILE)),
    )


def _stage(uri: str, spec: StageSpec, training: TrainingLog | None) -> Stage:
    if spec.name == "pretrain":
        folders: tuple[Folder, ...] = (_newest_checkpoint(uri),)
        if training and not training.is_finished and folders[0].state != DAMAGED:
            return Stage(spec, folders, UNFINISHED)
    else:
        folders = tuple(_folder(uri, path, kind) for path, kind in spec.folders.items())
    states = {folder.state for folder in folders}
    if DAMAGED in states:
        return Stage(spec, folders, DAMAGED)
    return Stage(spec, folders, states.pop() if len(states) == 1 else UNFINISHED)


def _mark_elsewhere(stages: list[Stage]) -> tuple[Stage, ...]:
    """What is missing before a stage that has been run: raw claims of one's own, an imported vocabulary."""
    last = max((n for n, stage in enumerate(stages) if stage.state != MISSING), default=0)
    return tuple(
        replace(stage, state=ELSEWHERE) if stage.state == MISSING and n < last else stage
        for n, stage in enumerate(stages)
    )


def _folder(uri: str, path: str, kind: str) -> Folder:
    try:
        return Folder(path, DONE, read_manifest(join(uri, path), kind))
    except NotPublished:
        return Folder(path, MISSING)
    except ContractError as error:
        return Folder(path, DAMAGED, problem=str(error).replace(join(uri, ""), ""))


def _newest_checkpoint(uri: str) -> Folder:
    """What pretraining gives out: its newest checkpoint that is whole."""
    try:
        checkpoint = latest_checkpoint(join(uri, PRETRAIN_FOLDER))
    except ContractError as error:
        return Folder(PRETRAIN_FOLDER, DAMAGED, problem=str(error).replace(join(uri, ""), ""))
    if checkpoint is None:
        return Folder(PRETRAIN_FOLDER, MISSING)
    return Folder(checkpoint.uri.removeprefix(join(uri, "")), DONE, checkpoint.manifest)
