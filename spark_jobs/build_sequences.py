"""diagnoses/ and vocabulary/ → sequences/: one row a patient, visits in order, in train, valid and test."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pyspark.sql import SparkSession

from schemas import diagnoses, sequences, vocabulary
from schemas.errors import ContractError
from schemas.manifest import Manifest
from schemas.sequences import BY_DISCHARGE_DATE, SEQUENCES, SPLIT, SPLITS, VISIT_RULES
from spark_jobs.checks import check_choice, check_positive
from spark_jobs.config import run_job
from spark_jobs.patient_rows import frame_of_patients, partitions_to_shuffle
from spark_jobs.publish import Target, publish, read_published, start_output, write_parts
from spark_jobs.transforms.sequences import AssembleSequences, Codebook
from spark_jobs.vocabularies import read_tokens


@dataclass(frozen=True)
class BuildSequences:
    """Put each patient's codes into one sequence. The split's salt is the vocabulary's.

    Args:
        diagnoses: what ingest wrote.
        vocabulary: the codes that have ids; others become [UNK], or are left out where it has no [UNK].
        output: folder for the sequences.
        min_codes: a patient with fewer codes is left out. A code counts once a visit.
        num_partitions: into how many parts patients are shuffled; decides the files, so it does not depend
            on the cluster. By default none are, where each file of the diagnoses holds whole patients (ingest
            sees to that); else one part for each 250,000 diagnoses.
        visits: which of a patient's rows are one visit: those of one discharge_date (Med-BERT's), of one
            visit_id (of one discharge date where there is none), or those whose stays overlap or touch.
    """

    diagnoses: str
    vocabulary: str
    output: str
    min_codes: int = 4
    num_partitions: int | None = None
    visits: str = BY_DISCHARGE_DATE


def main(spark: SparkSession, config: BuildSequences) -> None:
    check_positive(min_codes=config.min_codes, num_partitions=config.num_partitions)
    check_choice("visits", [config.visits], tuple(VISIT_RULES))
    source = read_published(spark, config.diagnoses, diagnoses.KIND)
    codebook = read_published(spark, config.vocabulary, vocabulary.KIND)
    tokens, special = read_tokens(spark, codebook)
    salt = codebook.manifest.parameters["split_salt"]
    output = start_output(spark, config.output, [config.diagnoses, config.vocabulary])

    num_partitions = partitions_to_shuffle(source, config.num_partitions)
    frame, patient_rows = frame_of_patients(spark, source, num_partitions)
    task = AssembleSequences(
        patient_rows,
        Codebook(tokens, special),
        special.unk,
        salt,
        config.min_codes,
        config.visits,
        config.output,
    )
    written = write_parts(frame, {sequences.KIND: Target(output, schema=SEQUENCES)}, task)
    files = written.files[sequences.KIND]

    rows_of = {
        split: sum(f.rows for f in files if f.path.startswith(f"{SPLIT}={split}/")) for split in SPLITS
    }
    counts = dict(written.counts) | {"patients": rows_of}
    _check_counts(counts, source.manifest.num_rows, config)
    parameters = {
        "min_codes": config.min_codes,
        "split_salt": salt,
        "num_partitions": num_partitions,
        "visits": config.visits,
    }
    inputs = {diagnoses.KIND: source.manifest.fingerprint, vocabulary.KIND: codebook.manifest.fingerprint}
    publish(output, Manifest(sequences.KIND, parameters, inputs, tuple(files), counts))


def _check_counts(counts: dict, rows_in: int, config: BuildSequences) -> None:
    patients = sum(counts["patients"].values())
    assert counts["rows_in"] == rows_in, "a diagnosis was lost or doubled on the way"
    assert counts["patients_in"] == patients + counts["patients_with_too_few_codes"], "a patient was lost"
    if not patients:
        raise ContractError(
            f"none of {counts['patients_in']} patients has {config.min_codes} codes of the vocabulary",
            "a patient with fewer than min_codes codes is left out",
            "lower --min_codes (MIN_CODES); if many codes are unknown, lower the vocabulary's --min_patients "
            "(MIN_PATIENTS)",
        )


if __name__ == "__main__":
    sys.exit(run_job(BuildSequences, main))
