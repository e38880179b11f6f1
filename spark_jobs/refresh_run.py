"""New claims through all stages up to sequences in one program, which starts Spark once: for a scheduled run.

The first time it builds the folders; after that it follows the claims, extends the vocabulary in place and
refreshes the sequences. Killed at any moment, it goes on the next time.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from schemas import sequences, vocabulary
from schemas.manifest import MANIFEST_NAME
from spark_jobs import build_sequences, build_vocabulary, ingest_claims
from spark_jobs.build_sequences import BuildSequences
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.config import run_job
from spark_jobs.follow_claims import NOW
from spark_jobs.ingest_claims import IngestClaims
from spark_jobs.replacing import take_over
from spark_jobs.storage import Folder


@dataclass(frozen=True)
class RefreshRun:
    """Bring diagnoses, vocabulary and sequences up to date.

    Args:
        ingest: options of ingest_claims; follow is `now`.
        vocabulary: options of build_vocabulary; diagnoses are those of ingest, and it extends its own output.
        sequences: options of build_sequences.
    """

    ingest: IngestClaims
    vocabulary: BuildVocabulary
    sequences: BuildSequences


def main(spark: SparkSession, config: RefreshRun) -> None:
    ingest_claims.main(spark, replace(config.ingest, follow=NOW))
    codes, patients = config.vocabulary, config.sequences
    is_old = _is_published(spark, codes.output, vocabulary.KIND)
    codes = replace(codes, diagnoses=config.ingest.output, extend=codes.output if is_old else None)
    build_vocabulary.main(spark, codes)
    is_old = _is_published(spark, patients.output, sequences.KIND)
    build_sequences.main(spark, replace(patients, refresh=is_old))


def _is_published(spark: SparkSession, uri: str, kind: str) -> bool:
    take_over(spark, uri, kind)
    return Folder(spark, uri).exists(MANIFEST_NAME)


if __name__ == "__main__":
    sys.exit(run_job(RefreshRun, main))
