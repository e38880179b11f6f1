"""Any stage's folder → profile/: its aggregates, small cells hidden; `python -m reports profile` shows them.

Not named profile.py: under spark-submit this folder stands first on the path, and would hide Python's own
module `profile`, which pyspark needs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from schemas import claims, diagnoses, profile, sequences, shards, vocabulary
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, Manifest, no_manifest, stated_kind
from schemas.profile import Profile, Rejects
from schemas.rules import check_claims, check_sequences, check_shards
from spark_jobs.checks import check_built_with, checked
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.listed_tables import read_table
from spark_jobs.files.publish import Published, publish, read_published, start_output, write_file
from spark_jobs.files.storage import Folder
from spark_jobs.patient_rows import frame_of_patients, partitions_to_shuffle
from spark_jobs.profiles import MOST_SHAPES, profile_of, profile_of_vocabulary, rejects
from spark_jobs.transforms.layout import num_partitions_for
from spark_jobs.transforms.profile import (
    DIAGNOSIS_COLUMNS_READ,
    count_claims,
    count_diagnoses,
    count_sequences,
)
from spark_jobs.transforms.shapes import reject_shapes
from spark_jobs.vocabularies import read_tokens
from spark_jobs.worker_errors import errors_of_workers


@dataclass(frozen=True)
class ProfileStage:
    """Profile one folder.

    Args:
        input: a folder of claims, diagnoses, a vocabulary, sequences, or the shards of one split.
        output: folder for the profile.
        vocabulary: names the ids of sequences and shards; not asked for otherwise.
        rejected: what was set aside beside diagnoses; by default `<input>_rejected`, if it is there.
        reference: the profile that this one will be compared with, so that it is not overwritten before.
    """

    input: str
    output: str
    vocabulary: str | None = None
    rejected: str | None = None
    reference: str | None = None


@holds_outputs("output")
@errors_of_workers()
def main(spark: SparkSession, config: ProfileStage) -> None:
    source = read_published(spark, config.input, _kind(spark, config.input))
    if config.reference:
        _check_reference(spark, config.reference, config.output)
    inputs = filter(None, (config.input, config.vocabulary, config.rejected))
    output = start_output(spark, config.output, inputs)
    found = _PROFILERS[source.manifest.kind](spark, source, config)
    content = found.to_json().encode()
    files = (write_file(output, profile.PROFILE_FILE, content, 1),)
    publish(output, Manifest(profile.KIND, {}, {source.manifest.kind: source.manifest.fingerprint}, files))


def _check_reference(spark: SparkSession, reference: str, output: str) -> None:
    """Raises ContractError for what is no profile, or is the very one to be overwritten."""
    if Folder(spark, reference).is_same(Folder(spark, output)):
        raise profile.same_profile(reference)
    read_published(spark, reference, profile.KIND)


def _of_claims(spark: SparkSession, source: Published, config: ProfileStage) -> Profile:
    rows = read_table(spark, source, claims.CLAIMS, subfolder=f"{claims.CLAIMS_FOLDER}/")
    num_rows = source.manifest.counts.get("diagnoses", source.manifest.num_rows)
    rows = checked(rows, check_claims, source.uri)
    counts = count_claims(rows, num_partitions_for(num_rows)).toArrow()
    return profile_of(claims.KIND, counts, {})


def _of_diagnoses(spark: SparkSession, source: Published, config: ProfileStage) -> Profile:
    num_partitions = partitions_to_shuffle(source)
    frame, patient_rows = frame_of_patients(spark, source, num_partitions, DIAGNOSIS_COLUMNS_READ)
    counts = count_diagnoses(frame, patient_rows).toArrow()
    return profile_of(diagnoses.KIND, counts, _rejects(spark, source, config))


def _rejects(spark: SparkSession, source: Published, config: ProfileStage) -> dict[str, Rejects]:
    counts = source.manifest.counts.get("rejected", {})
    uri = config.rejected or f"{source.uri.rstrip('/')}_rejected"
    if not counts or not (config.rejected or Folder(spark, uri).exists(MANIFEST_NAME)):
        return rejects(counts, ())
    aside = read_published(spark, uri, diagnoses.REJECTED_KIND)
    shapes = reject_shapes(read_table(spark, aside, diagnoses.REJECTED), MOST_SHAPES)
    return rejects(
        counts, shapes.toArrow().sort_by([("reason", "ascending"), ("place", "ascending")]).to_pylist()
    )


def _of_vocabulary(spark: SparkSession, source: Published, config: ProfileStage) -> Profile:
    return profile_of_vocabulary(read_table(spark, source, vocabulary.VOCABULARY).toArrow())


def _of_sequences(spark: SparkSession, source: Published, config: ProfileStage) -> Profile:
    rows = checked(read_table(spark, source, sequences.SEQUENCES), check_sequences, source.uri)
    return _of_ids(spark, source, config, rows)


def _of_shards(spark: SparkSession, source: Published, config: ProfileStage) -> Profile:
    size = source.manifest.details["vocabulary_size"]
    if not any(file.path.endswith(shards.PARQUET) for file in source.manifest.files):
        raise ContractError(
            f"{source.uri} has no Parquet files",
            "shards are profiled from their Parquet files",
            "write them with FORMATS=[parquet,tfrecord], or profile the sequences",
        )
    check = partial(check_shards, vocabulary_size=size)
    rows = checked(read_table(spark, source, shards.SHARDS), check, source.uri)
    return _of_ids(spark, source, config, rows)


def _of_ids(spark: SparkSession, source: Published, config: ProfileStage, rows: DataFrame) -> Profile:
    if config.vocabulary is None:
        raise ContractError(
            f"{source.uri} has token ids and there is no vocabulary",
            "ids are named by the vocabulary they were made with",
            "give --vocabulary",
        )
    codebook = read_published(spark, config.vocabulary, vocabulary.KIND)
    check_built_with(source, vocabulary.KIND, codebook)
    tokens, _ = read_tokens(spark, codebook)
    counts = count_sequences(rows, tokens).toArrow()
    return profile_of(source.manifest.kind, counts, {})


_PROFILERS: dict[str, Callable[[SparkSession, Published, ProfileStage], Profile]] = {
    claims.KIND: _of_claims,
    diagnoses.KIND: _of_diagnoses,
    vocabulary.KIND: _of_vocabulary,
    sequences.KIND: _of_sequences,
    shards.KIND: _of_shards,
}


def _kind(spark: SparkSession, uri: str) -> str:
    """What the folder's manifest says it is. Raises ContractError when it is nothing that has a profile."""
    folder = Folder(spark, uri)
    if not folder.exists(MANIFEST_NAME):
        raise no_manifest(uri, "stage's")
    kind = stated_kind(folder.read_bytes(MANIFEST_NAME))
    if kind not in _PROFILERS:
        raise ContractError(
            f"{uri} holds {kind or 'no readable manifest'}",
            f"what can be profiled is {', '.join(_PROFILERS)}",
            "give one of these folders (STAGE, RUN)",
        )
    return kind


if __name__ == "__main__":
    sys.exit(run_job(ProfileStage, main))
