"""diagnoses/ and vocabulary/ → sequences/: one row a patient, visits in order, in train, valid and test."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pyspark.sql import SparkSession

from schemas import sequences
from schemas.batches import first_num_partitions, num_batches
from schemas.manifest import Manifest
from schemas.sequences import BY_DISCHARGE_DATE, SEQUENCES, SPLIT, SPLITS, VISIT_RULES
from spark_jobs.assembling import assembling_task, check_counts, open_inputs, patients_of
from spark_jobs.checks import check_choice, check_positive
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.publish import Published, Target, publish, start_private, write_parts
from spark_jobs.patient_rows import frame_of_patients, partitions_to_shuffle
from spark_jobs.refresh_sequences import refresh
from spark_jobs.transforms.sequences import columns_needed
from spark_jobs.worker_errors import errors_of_workers


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
            sees to that); where ingest follows its input, as many parts as the first batch has, whose rows
            then stay where they are; else one part for each 250,000 diagnoses.
        visits: which of a patient's rows are one visit: those of one discharge_date (Med-BERT's), of one
            visit_id (of one discharge date where there is none), or those whose stays overlap or touch.
        refresh: bring the sequences in output up to date with diagnoses that were followed (--follow) and a
            vocabulary that was extended (--extend) since: only patients with new rows or codes are assembled.
        shared_group: a group of this machine whose members may read the output; without it, its owner alone.
    """

    diagnoses: str
    vocabulary: str
    output: str
    min_codes: int = 4
    num_partitions: int | None = None
    visits: str = BY_DISCHARGE_DATE
    refresh: bool = False
    shared_group: str | None = None


@holds_outputs("output")
@errors_of_workers()
def main(spark: SparkSession, config: BuildSequences) -> None:
    check_positive(min_codes=config.min_codes, num_partitions=config.num_partitions)
    check_choice("visits", [config.visits], tuple(VISIT_RULES))
    inputs = open_inputs(spark, config.diagnoses, config.vocabulary)
    parameters = {
        "min_codes": config.min_codes,
        "split_salt": inputs.salt,
        "num_partitions": config.num_partitions,
        "visits": config.visits,
    }
    if config.refresh:
        refresh(spark, config.output, inputs, parameters, config.shared_group)
        return
    folders = [f"{SPLIT}={split}" for split in SPLITS]
    read = [config.diagnoses, config.vocabulary]
    output = start_private(spark, config.output, config.shared_group, read, folders)
    parameters["num_partitions"] = num_partitions = _num_partitions(inputs.source, config.num_partitions)
    columns = columns_needed(config.visits)
    frame, patient_rows = frame_of_patients(spark, inputs.source, num_partitions, columns)
    task = assembling_task(inputs, parameters, patient_rows, config.output)
    written = write_parts(frame, {sequences.KIND: Target(output, schema=SEQUENCES)}, task)
    files = tuple(written.files[sequences.KIND])
    counts = dict(written.counts) | {"patients": patients_of(files)}
    check_counts(counts, inputs.source.manifest.num_rows, config.min_codes)
    publish(output, Manifest(sequences.KIND, parameters, inputs.fingerprints, files, counts))


def _num_partitions(source: Published, asked: int | None) -> int | None:
    """None where each file of the diagnoses is one. What grows has a number even while it is one batch: a
    refresh must know each patient's place.
    """
    if asked is None and num_batches(source.manifest):
        return first_num_partitions(source.manifest)
    return partitions_to_shuffle(source, asked)


if __name__ == "__main__":
    sys.exit(run_job(BuildSequences, main))
