"""sequences/ → shards/train, shards/valid, shards/test: shuffled, even files, a manifest each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from schemas import sequences, vocabulary
from schemas.diagnoses import PATIENT_ID
from schemas.manifest import Manifest, join
from schemas.sequences import SPLIT, SPLITS
from schemas.shards import FORMATS, KIND, PARQUET, SHARDS, TFRECORD, part_name, shard_details
from spark_jobs.checks import check_built_with, check_choice, check_positive
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.publish import Target, publish, read_published, start_private, write_parts
from spark_jobs.files.sequence_files import SequenceFile, sequence_files
from spark_jobs.files.storage import Folder
from spark_jobs.grouping import numbers_in, task_numbers
from spark_jobs.transforms.scattering import PIECES_DDL, shuffled
from spark_jobs.transforms.shuffle import (
    PLACE,
    SHARD_COLUMNS,
    Ints,
    WriteFormats,
    first_places,
    places_of,
    plan_shards,
    summarise,
    to_shards,
)
from spark_jobs.vocabularies import read_tokens
from spark_jobs.worker_errors import errors_of_workers

log = logging.getLogger(__name__)
CONTENT_OPTIONS = ("formats", "rows_per_shard", "min_shards", "seed")


@dataclass(frozen=True)
class WriteShards:
    """Write the files that training reads.

    Args:
        sequences: what build_sequences wrote.
        vocabulary: the one that the sequences were built with.
        output: folder for train/, valid/ and test/.
        formats: parquet, tfrecord or both; both hold the same rows in the same order.
        rows_per_shard: most patients in one file.
        min_shards: at least so many files a split, while there are patients for them: each process of the
            trainer reads files of its own.
        seed: of the random order.
        shared_group: a group of this machine whose members may read the output; without it, its owner alone.
    """

    sequences: str
    vocabulary: str
    output: str
    formats: list[str] = field(default_factory=lambda: [PARQUET, TFRECORD])
    rows_per_shard: int = 10_000
    min_shards: int = 8
    seed: int = 0
    shared_group: str | None = None


@holds_outputs("output")
@errors_of_workers()
def main(spark: SparkSession, config: WriteShards) -> None:
    check_positive(rows_per_shard=config.rows_per_shard, min_shards=config.min_shards)
    check_choice("formats", config.formats, FORMATS)
    source = read_published(spark, config.sequences, sequences.KIND)
    codebook = read_published(spark, config.vocabulary, vocabulary.KIND)
    check_built_with(source, vocabulary.KIND, codebook)
    tokens, special = read_tokens(spark, codebook)
    folders = {
        split: start_private(
            spark, join(config.output, split), config.shared_group, [config.sequences, config.vocabulary]
        )
        for split in SPLITS
    }
    patients = source.manifest.counts["patients"]
    for split in SPLITS:
        if not patients[split]:
            log.warning("the %s split has no patients: its shards are a manifest and no file", split)

    plan = plan_shards(patients, config.rows_per_shard, config.min_shards)
    tasks = sequence_files(spark, source)
    first = first_places(places(spark, tasks, config.seed), plan)
    shards = pieces_of_shards(spark, tasks, config.seed, first)
    targets = {
        file_format: Target(
            Folder(spark, config.output),
            file_format,
            SHARDS,
            names=[f"{split}/{part_name(number, file_format)}" for split, number in plan.shards],
        )
        for file_format in config.formats
    }
    splits = tuple(split for split, _ in plan.shards)
    task = WriteFormats(tuple(config.formats), splits, len(tokens), config.output)
    written = write_parts(shards, targets, task)
    files = [file for of_format in written.files.values() for file in of_format]

    parameters = {name: value for name, value in asdict(config).items() if name in CONTENT_OPTIONS}
    inputs = {
        kind: of.manifest.fingerprint for kind, of in ((sequences.KIND, source), (vocabulary.KIND, codebook))
    }
    for split, (lengths, max_visits) in summarise(written.counts).items():
        of_split = [
            replace(f, path=f.path.removeprefix(f"{split}/")) for f in files if f.path.startswith(f"{split}/")
        ]
        assert sum(f.rows for f in of_split) == patients[split] * len(config.formats), "a patient was lost"
        details = shard_details(
            vocabulary_fingerprint=codebook.manifest.fingerprint,
            vocabulary_size=len(tokens),
            special_tokens=asdict(special),
            num_codes=sum(length * patients for length, patients in lengths.items()),
            max_visits=max_visits,
            length_histogram=lengths,
        )
        counts = {"patients": patients[split]}
        manifest = Manifest(KIND, parameters | {SPLIT: split}, inputs, tuple(of_split), counts, details)
        publish(folders[split], manifest)


def places(spark: SparkSession, tasks: Sequence[Sequence[SequenceFile]], seed: int) -> DataFrame:
    """PLACE of every patient."""

    def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for file in (file for number in numbers_in(numbers) for file in tasks[number]):
            for rows in file.read([PATIENT_ID]):
                found = places_of(rows[PATIENT_ID], file.split, seed)
                yield pa.RecordBatch.from_arrays([pa.array(found)], names=[PLACE])

    return task_numbers(spark, len(tasks)).mapInArrow(read, f"{PLACE} bigint")


def pieces_of_shards(
    spark: SparkSession, tasks: Sequence[Sequence[SequenceFile]], seed: int, first: Ints
) -> DataFrame:
    """Partition k: the pieces of shard k. first: of first_places."""

    def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in numbers_in(numbers):
            held = [(file.split, rows) for file in tasks[number] for rows in file.read(SHARD_COLUMNS)]
            found = [places_of(rows[PATIENT_ID], split, seed) for split, rows in held]
            # Together, so that there are few pieces.
            yield from to_shards(pa.concat_batches([rows for _, rows in held]), np.concatenate(found), first)

    return shuffled(task_numbers(spark, len(tasks)).mapInArrow(read, PIECES_DDL), max(1, len(first)))


if __name__ == "__main__":
    sys.exit(run_job(WriteShards, main))
