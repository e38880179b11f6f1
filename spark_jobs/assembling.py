"""What a full build of sequences and a refresh share: inputs, the assembling task, the check of counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from schemas import diagnoses, vocabulary
from schemas.errors import ContractError
from schemas.manifest import ManifestFile
from schemas.sequences import SPLIT, SPLITS
from schemas.vocabulary import SpecialTokens
from spark_jobs.files.publish import Published, read_published
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.sequences import AssembleSequences, Codebook
from spark_jobs.vocabularies import read_tokens


@dataclass(frozen=True)
class Inputs:
    """Diagnoses and vocabulary, as published, and the vocabulary's tokens by id."""

    source: Published
    vocabulary: Published
    tokens: Sequence[str]
    special: SpecialTokens

    @property
    def salt(self) -> str:
        return self.vocabulary.manifest.parameters["split_salt"]

    @property
    def fingerprints(self) -> dict[str, str]:
        return {
            diagnoses.KIND: self.source.manifest.fingerprint,
            vocabulary.KIND: self.vocabulary.manifest.fingerprint,
        }


def open_inputs(spark: SparkSession, diagnoses_uri: str, vocabulary_uri: str) -> Inputs:
    """Raises ContractError."""
    source = read_published(spark, diagnoses_uri, diagnoses.KIND)
    codebook = read_published(spark, vocabulary_uri, vocabulary.KIND)
    return Inputs(source, codebook, *read_tokens(spark, codebook))


def assembling_task(
    inputs: Inputs,
    parameters: Mapping[str, Any],
    patient_rows: PatientRows,
    where: str,
    num_tokens: int | None = None,
) -> AssembleSequences:
    """The task for a sequences manifest's parameters. where: for messages.

    num_tokens: only so many tokens of the vocabulary have an id, its first ones; None: all.
    """
    codebook = Codebook(inputs.tokens[:num_tokens], inputs.special)
    min_codes, visits = parameters["min_codes"], parameters["visits"]
    unk = inputs.special.unk
    return AssembleSequences(patient_rows, codebook, unk, inputs.salt, min_codes, visits, where)


def patients_of(files: Sequence[ManifestFile]) -> dict[str, int]:
    """Split → patients in its files."""
    return {split: sum(f.rows for f in files if f.path.startswith(f"{SPLIT}={split}/")) for split in SPLITS}


def check_counts(counts: Mapping[str, Any], rows_in: int, min_codes: int) -> None:
    """Raises ContractError where no patient is left."""
    patients = sum(counts["patients"].values())
    assert counts["rows_in"] == rows_in, "a diagnosis was lost or doubled on the way"
    assert counts["patients_in"] == patients + counts["patients_with_too_few_codes"], "a patient was lost"
    if not patients:
        raise ContractError(
            f"none of {counts['patients_in']} patients has {min_codes} codes of the vocabulary",
            "a patient with fewer than min_codes codes is left out",
            "lower --min_codes (MIN_CODES); if many codes are unknown, lower the vocabulary's --min_patients "
            "(MIN_PATIENTS)",
        )
