"""Claims through all stages up to the shards in one program, which starts Spark once.

With --ingest.follow now, for a scheduled run: the first time it builds the folders, after that it takes in
what is new, extends the vocabulary in place and refreshes the sequences. Killed at any moment, it goes on
the next time.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from schemas import diagnoses, sequences, vocabulary
from schemas.batches import files_since, was_read_again
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME
from spark_jobs import build_sequences, build_vocabulary, ingest_claims, write_shards
from spark_jobs.build_sequences import BuildSequences
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.checks import check_choice
from spark_jobs.config import run_job
from spark_jobs.files.publish import read_published
from spark_jobs.files.replacing import finish_take_over
from spark_jobs.files.storage import Folder
from spark_jobs.growth.follow_claims import NOW
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.worker_errors import errors_of_workers
from spark_jobs.write_shards import WriteShards

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preprocess:
    """Run the stages one after another.

    Args:
        ingest: options of ingest_claims; follow is `now`, or left out.
        vocabulary: options of build_vocabulary. Where claims are followed, it extends its own output once
            that is there; extend is for the first time, and there are no types.
        sequences: options of build_sequences. Where claims are followed, they are refreshed, else never.
        shards: options of write_shards; null ends with the sequences.
    """

    ingest: IngestClaims
    vocabulary: BuildVocabulary
    sequences: BuildSequences
    shards: WriteShards | None = None


@errors_of_workers()
def main(spark: SparkSession, config: Preprocess) -> None:
    codes, patients, follows = config.vocabulary, config.sequences, config.ingest.follow
    if follows:
        check_choice("ingest.follow", [follows], (NOW,))
    _check(config)

    _show(spark, "ingest")
    ingest_claims.main(spark, config.ingest)

    _show(spark, "vocabulary")
    grows = bool(follows) and _is_published(spark, codes.output, vocabulary.KIND)
    build_vocabulary.main(spark, replace(codes, extend=codes.output) if grows else codes)

    _show(spark, "sequences")
    grows = bool(follows) and _is_published(spark, patients.output, sequences.KIND)
    if grows and _was_read_again(spark, config):
        log.info("a file of the diagnoses was read again: all sequences are assembled again")
        grows = False
    build_sequences.main(spark, replace(patients, refresh=grows))

    if config.shards:
        _show(spark, "shards")
        write_shards.main(spark, config.shards)


def _check(config: Preprocess) -> None:
    """Raises ContractError for an option of a stage that would go unheard here."""
    if config.ingest.follow and config.vocabulary.types:
        raise ContractError(
            f"claims are followed, and vocabulary.types is {config.vocabulary.types}",
            "a vocabulary that grows with the claims is imported once, before",
            "import it first (make vocabulary TYPES=…), then leave it out here, and it is extended",
        )
    if config.sequences.refresh and not config.ingest.follow:
        raise ContractError(
            "sequences.refresh is true, and claims are not followed",
            "claims that are taken in whole make all sequences anew",
            "follow the claims (make refresh, or FOLLOW=now), or leave it out",
        )


def _show(spark: SparkSession, stage: str) -> None:
    """Name the stage in Spark's own pages and event log."""
    spark.sparkContext.setJobDescription(stage)


def _is_published(spark: SparkSession, uri: str, kind: str) -> bool:
    finish_take_over(spark, uri, kind)
    return Folder(spark, uri).exists(MANIFEST_NAME)


def _was_read_again(spark: SparkSession, config: Preprocess) -> bool:
    """Whether the sequences were made with rows that are no longer among the diagnoses."""
    source = read_published(spark, config.ingest.output, diagnoses.KIND).manifest
    made = read_published(spark, config.sequences.output, sequences.KIND).manifest
    return was_read_again(source) and files_since(source, made.inputs[diagnoses.KIND]) is None


if __name__ == "__main__":
    sys.exit(run_job(Preprocess, main))
