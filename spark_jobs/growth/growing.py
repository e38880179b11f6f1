"""A diagnoses folder that grows batch by batch, each batch all or nothing.

A batch is written into folders of its own, in the diagnoses and in what was set aside beside them. Then the
manifest of what was set aside is replaced, and last that of the diagnoses: it alone decides which batches
there are. What a killed process leaves of another is removed by the next `open_growing`.

A raw file that has changed since is read again with all files of its batch, as rows do not say which file
they came from: the new batch then takes the place of the old one.

Beside the manifest, which holds no time, are notes on each batch, in `_follow/`: its files as they were when
they were read, and its own counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any

from pyspark.sql import SparkSession

from schemas.access import make_private
from schemas.batches import (
    BATCH_PREFIX,
    added_counts,
    batch_folder,
    batches_details,
    live_batches,
    num_batches,
)  # fmt: skip
from schemas.diagnoses import KIND, REJECTED_KIND
from schemas.errors import ContractError
from schemas.layout import layout_by_patient
from schemas.manifest import MANIFEST_NAME, Manifest, ManifestFile, join
from schemas.manifest_forms import misfit
from spark_jobs.files.publish import read_published, start_private
from spark_jobs.files.replacing import publish_over
from spark_jobs.files.storage import Folder
from spark_jobs.transforms.layout import SORTED_BY

CHECKPOINT = "_follow"
COMMITS = f"{CHECKPOINT}/commits"
REJECTED = "rejected"


@dataclass(frozen=True)
class Ingested:
    """Raw rows that were written. Paths of files are relative to the folders they were written into."""

    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: Sequence[ManifestFile]
    rejected_files: Sequence[ManifestFile]
    counts: Mapping[str, Any]
    num_partitions: int


@dataclass(frozen=True)
class LandedFile:
    """A raw file as it was at one look. path: below the input. modified: ms since 1970."""

    path: str
    bytes: int
    modified: int


@dataclass(frozen=True)
class Notes:
    """Of one batch."""

    files: tuple[LandedFile, ...]
    counts: Mapping[str, Any]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, content: str | bytes) -> Notes | None:
        """None for what is none."""
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return None
        if misfit(found, _NOTES):
            return None
        return cls(tuple(LandedFile(**file) for file in found["files"]), found["counts"])


_NOTES = {"files": [{"path": str, "bytes": int, "modified": int}], "counts": dict[str, Any]}


@dataclass
class GrowingDiagnoses:
    """The two folders, and the manifest of the diagnoses, None before the first batch.

    notes: number → notes of each batch that has rows.
    """

    output: Folder
    aside: Folder
    manifest: Manifest | None
    aside_files: tuple[ManifestFile, ...] = ()
    notes: dict[int, Notes] = field(default_factory=dict)

    @property
    def next_number(self) -> int:
        return num_batches(self.manifest) if self.manifest else 0

    @property
    def known_files(self) -> dict[str, tuple[int, LandedFile]]:
        """Path → (number of its batch, the file as it was read)."""
        return {file.path: (number, file) for number, of in self.notes.items() for file in of.files}

    def start(self, spark: SparkSession) -> tuple[Folder, Folder]:
        """Empty folders for the next batch: of its diagnoses, and of what it sets aside."""
        name = batch_folder(self.next_number)
        folders = [Folder(spark, join(of.uri, name)) for of in (self.output, self.aside)]
        for folder in folders:
            folder.delete()
        return folders[0], folders[1]

    def add(self, batch: Ingested, input_files: Sequence[LandedFile], replaced: Collection[int] = ()) -> None:
        """Commit a batch whose files are written. Raises ContractError for other options than before.

        replaced: batches whose files are all among these, read again; their rows go.
        """
        before = self.manifest
        if before and dict(before.parameters) != dict(batch.parameters):
            raise ContractError(
                f"{self.output.uri} was followed with {dict(before.parameters)}, now with {batch.parameters}",
                "all batches of a folder are read with the same options",
                "give the same options, or ingest everything again into another folder",
            )
        number = self.next_number
        folder = batch_folder(number)
        stay = {n: notes for n, notes in self.notes.items() if n not in replaced}
        old_counts = reduce(added_counts, (notes.counts for notes in stay.values()), {})
        counts = added_counts(old_counts, batch.counts)
        names = [file.path for file in input_files]
        details = batches_details(before, names, batch.num_partitions, replaced)
        if before is None:
            details |= layout_by_patient(batch.num_partitions, SORTED_BY)
        notes = Notes(tuple(input_files), batch.counts)
        self.output.write_bytes(_notes_name(number), notes.to_json().encode())

        gone = {batch_folder(n) for n in replaced}
        of_aside = _below(folder, batch.rejected_files)
        known = before.files if before else ()
        files = (*_outside(gone, known), *_below(folder, batch.files))
        aside_files = (*_outside(gone, self.aside_files), *of_aside)
        if gone:  # until the diagnoses say otherwise, the old batch counts
            both = (*self.aside_files, *of_aside)
            publish_over(self.aside, _aside_manifest(batch.parameters, both, counts))
        else:
            publish_over(self.aside, _aside_manifest(batch.parameters, aside_files, counts))
        manifest = Manifest(KIND, batch.parameters, {}, files, counts, details)
        publish_over(self.output, manifest)
        if gone:
            publish_over(self.aside, _aside_manifest(batch.parameters, aside_files, counts))
        self.output.write_bytes(f"{COMMITS}/{number}", b"")
        for name in gone:
            for of in (self.output, self.aside):
                of.delete(name)
        self.manifest, self.aside_files, self.notes = manifest, aside_files, stay | {number: notes}


def open_growing(
    spark: SparkSession, output: str, aside: str, inputs: Iterable[str], shared_group: str | None = None
) -> GrowingDiagnoses:
    """The folders as the last committed batch left them. Raises ContractError for others than those."""
    folder = Folder(spark, output)
    if not folder.exists(MANIFEST_NAME):
        if folder.list(COMMITS):
            raise ContractError(
                f"{output} has no {MANIFEST_NAME}, though batches were written there",
                "the manifest says which batches there are",
                f"delete {output}, and ingest everything again",
            )
        folder.delete(CHECKPOINT)
        begun = (start_private(spark, uri, shared_group, inputs) for uri in (output, aside))
        return GrowingDiagnoses(*begun, None)
    for uri in (output, aside):
        make_private(Folder(spark, uri).qualified, shared_group)
    manifest = read_published(spark, output, KIND).manifest
    if not num_batches(manifest):
        raise ContractError(
            f"{output} was ingested in one go",
            "only a folder that was followed from its first batch can be carried on",
            "follow into another folder: its first batch is all there is",
        )
    notes = _notes(folder, manifest)
    beside = Folder(spark, aside)
    committed = {batch_folder(number) for number in notes}
    known = read_published(spark, aside, REJECTED_KIND).manifest
    aside_files = tuple(file for file in known.files if file.path.partition("/")[0] in committed)
    if aside_files != known.files:
        publish_over(beside, _aside_manifest(manifest.parameters, aside_files, manifest.counts))
    for of in (folder, beside):
        for entry in of.list():
            if entry.path.startswith(BATCH_PREFIX) and entry.path not in committed:
                of.delete(entry.path)
    return GrowingDiagnoses(folder, beside, manifest, aside_files, notes)


def _notes(folder: Folder, manifest: Manifest) -> dict[int, Notes]:
    """Raises ContractError where the notes are not those of the manifest's batches."""
    found = {}
    for number, files in live_batches(manifest).items():
        name = _notes_name(number)
        notes = Notes.from_json(folder.read_bytes(name)) if folder.exists(name) else None
        if notes is None or tuple(file.path for file in notes.files) != files:
            raise ContractError(
                f"{folder.uri} has {num_batches(manifest)} batches, and {name} has no notes on the files of "
                "one of them",
                "a folder that follows its input is carried on with its own notes",
                f"put {CHECKPOINT}/ back, or ingest everything again into another folder",
            )
        found[number] = notes
    return found


def _notes_name(number: int) -> str:
    return f"{CHECKPOINT}/{number:06d}.json"


def _outside(folders: Collection[str], files: Sequence[ManifestFile]) -> tuple[ManifestFile, ...]:
    return tuple(file for file in files if file.path.partition("/")[0] not in folders)


def _aside_manifest(
    parameters: Mapping[str, Any], files: tuple[ManifestFile, ...], counts: Mapping[str, Any]
) -> Manifest:
    return Manifest(REJECTED_KIND, parameters, {}, files, {REJECTED: counts[REJECTED]})


def _below(folder: str, files: Sequence[ManifestFile]) -> list[ManifestFile]:
    return [replace(file, path=f"{folder}/{file.path}") for file in files]
