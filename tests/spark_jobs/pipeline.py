"""Running the jobs on small inputs, for tests."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from schemas.manifest import Manifest, read_manifest
from schemas.vocabulary import read_vocabulary
from spark_jobs import build_sequences, build_vocabulary, ingest_claims
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.sources.omop import OmopOptions

HEADER = "patient_id\tvadate\tvddate\tdiag\tpoa\tdiagnosis_priority\tthird_party_ind"


@dataclass(frozen=True)
class Run:
    """A run's folder, and its stages as `make` would run them."""

    spark: SparkSession
    root: str

    def ingest(self, source: str, raw: str, condition_types: tuple[int, ...] = (), **options) -> Manifest:
        options = {"omop": OmopOptions(list(condition_types))} | options
        config = IngestClaims(source, raw, self.path("diagnoses"), **options)
        ingest_claims.main(self.spark, config)
        return self.manifest("diagnoses")

    def vocabulary(self, min_patients: int = 1, **options) -> Manifest:
        config = build_vocabulary.BuildVocabulary(
            self.path("vocabulary"), self.path("diagnoses"), min_patients=min_patients, **options
        )
        build_vocabulary.main(self.spark, config)
        return self.manifest("vocabulary")

    def sequences(self, min_codes: int = 1, **options) -> Manifest:
        config = build_sequences.BuildSequences(
            self.path("diagnoses"), self.path("vocabulary"), self.path("sequences"), min_codes, **options
        )
        build_sequences.main(self.spark, config)
        return self.manifest("sequences")

    def path(self, folder: str) -> str:
        return f"{self.root}/{folder}"

    def manifest(self, folder: str) -> Manifest:
        return read_manifest(self.path(folder), folder.partition("/")[0], verify=True)

    def rows(self, folder: str) -> list[dict]:
        """All rows of a folder's Parquet files, in order of files."""
        files = [file.path for file in self.manifest(folder).files if file.path.endswith(".parquet")]
        return [
            row for path in files for row in pq.ParquetFile(f"{self.path(folder)}/{path}").read().to_pylist()
        ]

    def patients(self) -> dict[str, dict]:
        """Patient → its sequence, with `codes` (tokens) for token_ids."""
        tokens = read_vocabulary(self.path("vocabulary")).tokens
        return {
            row["patient_id"]: row | {"codes": [tokens[token_id] for token_id in row["token_ids"]]}
            for row in self.rows("sequences")
        }


def write_extract(path, *lines: str) -> str:
    """A Med-BERT extract; fields of a line are separated by blanks in `lines`, `-` is an empty field."""
    fields = (["" if field == "-" else field for field in line.split(" ")] for line in lines)
    path.write_text("\n".join([HEADER, *("\t".join(line) for line in fields)]) + "\n")
    return str(path)
