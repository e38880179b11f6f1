"""A small run of the jobs, for spark_classes: it loads the classes of Spark that they load."""

from __future__ import annotations

import tempfile

from spark_jobs import generate_claims, ingest_claims, preprocess
from spark_jobs.build_sequences import BuildSequences
from spark_jobs.build_vocabulary import BuildVocabulary
from spark_jobs.generate_claims import GenerateClaims
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.session import open_session
from spark_jobs.write_shards import WriteShards


def main() -> None:
    spark = open_session("small chain")
    with tempfile.TemporaryDirectory() as run:
        claims, diagnoses, codes, patients = (
            f"{run}/{name}" for name in ("claims", "diagnoses", "vocabulary", "sequences")
        )
        generate_claims.main(spark, GenerateClaims(claims, patients=100))
        stages = preprocess.Preprocess(
            IngestClaims("claims", claims, diagnoses),
            BuildVocabulary(codes, diagnoses, min_patients=1),
            BuildSequences(diagnoses, codes, patients, min_codes=1),
            WriteShards(patients, codes, f"{run}/shards"),
        )
        preprocess.main(spark, stages)
        # Files that have options are read by Spark itself, as tables of other formats are.
        read_by_spark = IngestClaims(
            "claims", f"{claims}/claims", f"{run}/other", format_options={"mergeSchema": False}
        )
        ingest_claims.main(spark, read_by_spark)
    spark.stop()


if __name__ == "__main__":
    main()
