"""A diagnoses folder that grows batch by batch, each batch all or nothing.

A batch is written into folders of its own, in the diagnoses and in what was set aside beside them. Then the
manifest of what was set aside is replaced, and last that of the diagnoses: it alone decides which batches
there are. What a killed process leaves of another is removed by the next `open_growing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from schemas.batches import (
    BATCH_PREFIX,
    BATCHES,
    INPUT_FILES,
    added_counts,
    batch_folder,
    batches_details,
    num_batches,
)  # fmt: skip
from schemas.diagnoses import KIND, REJECTED_KIND
from schemas.errors import ContractError
from schemas.layout import layout_by_patient
from schemas.manifest import MANIFEST_NAME, Manifest, ManifestFile, join
from spark_jobs.files.publish import read_published, start_output
from spark_jobs.files.replacing import publish_over
from spark_jobs.files.storage import Folder
from spark_jobs.transforms.layout import SORTED_BY

# Spark's own notes on the stream: which files each batch has.
CHECKPOINT = "_follow"
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


@dataclass
class GrowingDiagnoses:
    """The two folders, and the manifest of the diagnoses, None before the first batch."""

    output: Folder
    aside: Folder
    manifest: Manifest | None
    aside_files: tuple[ManifestFile, ...] = ()

    def start(self, number: int, spark: SparkSession) -> tuple[Folder, Folder]:
        """Empty folders for a batch: of its diagnoses, and of what it sets aside."""
        folders = [Folder(spark, join(of.uri, batch_folder(number))) for of in (self.output, self.aside)]
        for folder in folders:
            folder.delete()
        return folders[0], folders[1]

    def has(self, number: int, input_files: Sequence[str]) -> bool:
        """Whether that batch is there. Raises ContractError where it is another than the stream's."""
        known = self.manifest.details[BATCHES] if self.manifest else []
        if number > len(known) or (number < len(known) and known[number][INPUT_FILES] != list(input_files)):
            raise ContractError(
                f"{self.output.uri} has {len(known)} batches, and the stream's notes in {CHECKPOINT}/ are at "
                f"batch {number}, with other files",
                "a folder that follows its input is carried on with its own notes",
                f"put {CHECKPOINT}/ back, or ingest everything anew into another folder",
            )
        return number < len(known)

    def add(self, batch: Ingested, input_files: Sequence[str]) -> None:
        """Commit a batch whose files are written. Raises ContractError for other options than before."""
        before = self.manifest
        if before and dict(before.parameters) != dict(batch.parameters):
            raise ContractError(
                f"{self.output.uri} was followed with {dict(before.parameters)}, now with {batch.parameters}",
                "all batches of a folder are read with the same options",
                "give the same options, or ingest everything anew into another folder",
            )
        folder = batch_folder(num_batches(before) if before else 0)
        counts = added_counts(before.counts if before else {}, batch.counts)
        details = batches_details(before, input_files, batch.num_partitions)
        if before is None:
            details |= layout_by_patient(batch.num_partitions, SORTED_BY)
        aside_files = (*self.aside_files, *_below(folder, batch.rejected_files))
        files = (*(before.files if before else ()), *_below(folder, batch.files))
        publish_over(self.aside, _aside_manifest(batch.parameters, aside_files, counts))
        manifest = Manifest(KIND, batch.parameters, {}, files, counts, details)
        publish_over(self.output, manifest)
        self.manifest, self.aside_files = manifest, aside_files


def open_growing(spark: SparkSession, output: str, aside: str, inputs: Iterable[str]) -> GrowingDiagnoses:
    """The folders as the last committed batch left them. Raises ContractError for others than those."""
    folder = Folder(spark, output)
    if not folder.exists(MANIFEST_NAME):
        if folder.list(f"{CHECKPOINT}/commits"):
            raise ContractError(
                f"{output} has no {MANIFEST_NAME}, though batches were written there",
                "the manifest says which batches there are",
                f"delete {output}, and ingest everything anew",
            )
        return GrowingDiagnoses(start_output(spark, output, inputs), start_output(spark, aside, inputs), None)
    manifest = read_published(spark, output, KIND).manifest
    if not num_batches(manifest):
        raise ContractError(
            f"{output} was ingested in one go",
            "only a folder that was followed from its first batch can be carried on",
            "follow into another folder: its first batch is all there is",
        )
    beside = Folder(spark, aside)
    committed = {batch_folder(number) for number in range(num_batches(manifest))}
    known = read_published(spark, aside, REJECTED_KIND).manifest
    aside_files = tuple(file for file in known.files if file.path.partition("/")[0] in committed)
    if aside_files != known.files:
        publish_over(beside, _aside_manifest(manifest.parameters, aside_files, manifest.counts))
    for of in (folder, beside):
        for entry in of.list():
            if entry.path.startswith(BATCH_PREFIX) and entry.path not in committed:
                of.delete(entry.path)
    return GrowingDiagnoses(folder, beside, manifest, aside_files)


def _aside_manifest(
    parameters: Mapping[str, Any], files: tuple[ManifestFile, ...], counts: Mapping[str, Any]
) -> Manifest:
    return Manifest(REJECTED_KIND, parameters, {}, files, {REJECTED: counts[REJECTED]})


def _below(folder: str, files: Sequence[ManifestFile]) -> list[ManifestFile]:
    return [replace(file, path=f"{folder}/{file.path}") for file in files]
