"""Sequences brought up to date: only those patients are assembled anew who have new rows or new codes.

New rows are those of batches that the diagnoses did not have when the sequences were made; new codes are
those that were appended to the vocabulary since. The result is that of a full build into as many parts, file
for file. The old sequences stay readable until the new ones take over (replacing).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from schemas import diagnoses, vocabulary
from schemas.access import make_private
from schemas.batches import files_since
from schemas.errors import ContractError
from schemas.manifest import Manifest, ManifestFile
from schemas.sequences import KIND, SEQUENCES
from schemas.vocabulary import size_when
from spark_jobs.assembling import Inputs, assembling_task, check_counts, patients_of
from spark_jobs.files.listed_tables import listed_files
from spark_jobs.files.part_files import MAX
from spark_jobs.files.publish import Published, Target, Written, publish, read_published, write_parts
from spark_jobs.files.replacing import publish_over, start_next, take_over
from spark_jobs.files.sequence_files import SequenceFile
from spark_jobs.files.storage import Folder
from spark_jobs.growth.merge_sequences import MergeSequences, OldFiles
from spark_jobs.patient_partitions import patient_partitions
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.sequences import columns_needed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class News:
    """What came since the sequences were made: files of diagnoses, and tokens from the id `num_old` on."""

    files: tuple[ManifestFile, ...]
    num_old: int


def refresh(
    spark: SparkSession,
    uri: str,
    inputs: Inputs,
    parameters: Mapping[str, Any],
    shared_group: str | None = None,
) -> None:
    """Bring the sequences in `uri` up to date with their diagnoses and vocabulary.

    parameters: as of a full build; num_partitions None takes the old number. Raises ContractError where only
    a full build can tell what has changed.
    """
    take_over(spark, uri, KIND)
    old = read_published(spark, uri, KIND)
    make_private(Folder(spark, uri).qualified, shared_group)
    parameters = _old_parameters(old, parameters)
    news = _news(old, inputs)
    if dict(old.manifest.inputs) == inputs.fingerprints:
        log.info("%s is up to date", uri)
        return
    if not news.files and news.num_old == len(inputs.tokens):
        publish_over(Folder(spark, uri), replace(old.manifest, inputs=inputs.fingerprints))
        return
    output = start_next(spark, uri)
    written = _write(spark, old, inputs, news, parameters, Target(output, schema=SEQUENCES))
    files = tuple(written.files[KIND])
    counts = _counts(old.manifest.counts, written.counts) | {"patients": patients_of(files)}
    check_counts(counts, inputs.source.manifest.num_rows, parameters["min_codes"])
    publish(output, Manifest(KIND, parameters, inputs.fingerprints, files, counts))
    take_over(spark, uri, KIND)


def _write(
    spark: SparkSession,
    old: Published,
    inputs: Inputs,
    news: News,
    parameters: Mapping[str, Any],
    target: Target,
) -> Written:
    """Merge the old sequences with those of the patients who have changed."""
    num_partitions = parameters["num_partitions"]
    columns = columns_needed(parameters["visits"])
    frame, partitions = patient_partitions(spark, inputs.source, num_partitions, columns, news.files)
    as_they_are = PatientRows(inputs.source.uri)
    now = assembling_task(inputs, parameters, as_they_are, target.folder.uri)
    was = assembling_task(inputs, parameters, as_they_are, old.uri, news.num_old)
    appended = frozenset(inputs.tokens[news.num_old :])
    files = {of.file.path: SequenceFile(of) for of in listed_files(spark, old)}
    old_files = OldFiles(old.uri, files, num_partitions)
    task = MergeSequences(now, was, partitions, columns, appended, old_files)
    return write_parts(frame, {KIND: target}, task)


def _old_parameters(old: Published, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the old sequences. Raises ContractError where the refresh has others."""
    known = dict(old.manifest.parameters)
    wanted = dict(parameters) | {
        "num_partitions": parameters["num_partitions"] or known.get("num_partitions")
    }
    if wanted != known or not known["num_partitions"]:
        raise ContractError(
            f"{old.uri} was made with {known}, the refresh has {wanted}",
            "a refresh has the same options as the full build, which put patients into partitions",
            "give the same options, or build the sequences anew, without --refresh (REFRESH)",
        )
    return known


def _news(old: Published, inputs: Inputs) -> News:
    """Raises ContractError where the old sequences were not made with an earlier state of the inputs."""
    made_with, codebook = old.manifest.inputs, inputs.vocabulary
    files = files_since(inputs.source.manifest, made_with[diagnoses.KIND])
    num_old = size_when(codebook.manifest, len(inputs.tokens), made_with[vocabulary.KIND])
    if files is None:
        raise _not_grown(old, inputs.source, "diagnoses grow where they are ingested with --follow (FOLLOW)")
    if num_old is None:
        raise _not_grown(old, codebook, "a vocabulary grows where it is extended with --extend (EXTEND)")
    return News(files, num_old)


def _not_grown(old: Published, of: Published, rule: str) -> ContractError:
    return ContractError(
        f"{old.uri} was made with another {of.manifest.kind} than {of.uri} was at any time",
        rule,
        "build the sequences anew, without --refresh (REFRESH)",
    )


def _counts(old: Mapping[str, Any], more: Mapping[str, int]) -> dict[str, int]:
    """Counts of the old sequences, with what the tasks counted beyond them."""
    return {name: n if name.startswith(MAX) else old[name] + n for name, n in more.items()}
