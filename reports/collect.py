"""Everything a run's folders say about themselves: which are there, whole, and with what manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fsspec

from schemas import claims, diagnoses, model, sequences, shards, vocabulary
from schemas.checkpoint import CHECKPOINTS_FOLDER, latest_checkpoint
from schemas.errors import ContractError, NotPublished
from schemas.manifest import Manifest, join, read_manifest
from schemas.training_log import CONFIG_FILE, EVAL, METRICS_FILE, START, TRAIN

PRETRAIN_FOLDER = "pretrain"
MODEL_FOLDER = "model"

DONE = "done"
MISSING = "not run"
DAMAGED = "damaged"


@dataclass(frozen=True)
class StageSpec:
    """A stage of the pipeline. folders: path below the run → the kind that its manifest states."""

    name: str
    title: str
    folders: dict[str, str]


STAGES = (
    StageSpec("claims", "Claims", {claims.CLAIMS_FOLDER: claims.KIND}),
    StageSpec(
        "ingest", "Ingest", {"diagnoses": diagnoses.KIND, "diagnoses_rejected": diagnoses.REJECTED_KIND}
    ),
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
    """A stage with its folders as found."""

    spec: StageSpec
    folders: tuple[Folder, ...]

    @property
    def state(self) -> str:
        states = {folder.state for folder in self.folders}
        if DAMAGED in states:
            return DAMAGED
        return DONE if DONE in states else MISSING

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(folder.problem for folder in self.folders if folder.problem)


@dataclass(frozen=True)
class TrainingLog:
    """metrics.jsonl (schemas.training_log) by kind of line, in order of steps, and config.json."""

    starts: tuple[dict[str, Any], ...] = ()
    train: tuple[dict[str, Any], ...] = ()
    evaluations: tuple[dict[str, Any], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """All of a run that the report needs. name: the run folder's own name."""

    uri: str
    name: str
    stages: tuple[Stage, ...]
    training: TrainingLog | None
    conversion: dict[str, Any] | None

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.spec.name == name)

    def folders(self) -> Iterator[Folder]:
        for stage in self.stages:
            yield from stage.folders

    def manifest(self, path: str) -> Manifest | None:
        """The manifest of the folder at this path below the run; None when it isn't there or is damaged."""
        return next((folder.manifest for folder in self.folders() if folder.path == path), None)


def collect(uri: str) -> Run:
    """Read a run folder through fsspec; stages that have not run are marked, not refused.

    Raises ContractError when the folder does not exist, or holds none of a run's folders.
    """
    filesystem, root = fsspec.core.url_to_fs(uri)
    if not filesystem.isdir(root):
        raise ContractError(
            f"{uri} is not a folder", "a run is a folder", "check the path, or run a stage first"
        )
    stages = tuple(_stage(uri, spec) for spec in STAGES)
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
        training=_training(join(uri, PRETRAIN_FOLDER)),
        conversion=_json(join(uri, MODEL_FOLDER, model.REPORT_FILE)),
    )


def _stage(uri: str, spec: StageSpec) -> Stage:
    read = _checkpoint_folder if spec.name == "pretrain" else _folder
    return Stage(spec, tuple(read(uri, path, kind) for path, kind in spec.folders.items()))


def _folder(uri: str, path: str, kind: str) -> Folder:
    try:
        return Folder(path, DONE, read_manifest(join(uri, path), kind))
    except NotPublished:
        return Folder(path, MISSING)
    except ContractError as error:
        return Folder(path, DAMAGED, problem=str(error).replace(join(uri, ""), ""))


def _checkpoint_folder(uri: str, path: str, kind: str) -> Folder:
    """Pretraining is as far as its newest whole checkpoint."""
    try:
        checkpoint = latest_checkpoint(join(uri, path))
    except ContractError as error:
        return Folder(path, DAMAGED, problem=str(error).replace(join(uri, ""), ""))
    if checkpoint is None:
        return Folder(path, MISSING)
    name = checkpoint.uri.rstrip("/").rsplit("/", 1)[-1]
    return Folder(join(path, CHECKPOINTS_FOLDER, name), DONE, checkpoint.manifest)


def _training(uri: str) -> TrainingLog | None:
    lines = _text(join(uri, METRICS_FILE))
    if lines is None:
        return None
    entries: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (START, TRAIN, EVAL)}
    for line in lines.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line of a process that was killed while it wrote
        if entry["kind"] in entries:
            entries[entry["kind"]].append(entry)
    starts, train, evaluations = map(tuple, entries.values())
    return TrainingLog(starts, train, evaluations, _json(join(uri, CONFIG_FILE)) or {})


def _text(uri: str) -> str | None:
    filesystem, path = fsspec.core.url_to_fs(uri)
    try:
        return filesystem.cat_file(path).decode()
    except FileNotFoundError:
        return None


def _json(uri: str) -> dict[str, Any] | None:
    text = _text(uri)
    return None if text is None else json.loads(text)
