"""Vocabularies: made from diagnoses or a Med-BERT file, written, and read."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F

from schemas import diagnoses
from schemas.errors import ContractError
from schemas.layout import has_whole_patients
from schemas.manifest import ManifestFile, join
from schemas.medbert_types import MAX_BYTES, import_types, parse_types
from schemas.vocabulary import (
    STANDARD_SPECIAL_TOKENS,
    TABLE_FILE,
    VOCAB_FILE,
    SpecialTokens,
    parse_vocab_txt,
    special_tokens_of,
)  # fmt: skip
from spark_jobs.checks import watch_diagnoses
from spark_jobs.publish import Published, read_table, write_file
from spark_jobs.storage import Folder
from spark_jobs.transforms.layout import num_partitions_for
from spark_jobs.transforms.vocabulary import count_codes, kept_codes, number_codes, with_ids

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewVocabulary:
    """A vocabulary about to be written.

    table: schemas.vocabulary.VOCABULARY, by id. min_patients: None where it is not known (imported).
    """

    table: pa.Table
    special: SpecialTokens
    min_patients: int | None
    inputs: dict[str, str]
    counts: dict[str, int]

    @property
    def tokens(self) -> list[str]:
        return self.table["token"].to_pylist()


def count_vocabulary(spark: SparkSession, source: Published, salt: str, min_patients: int) -> NewVocabulary:
    """Count the training split's codes. Raises ContractError when none has enough patients."""
    together = has_whole_patients(source.manifest)
    table = read_table(spark, source, diagnoses.DIAGNOSES, whole_files=together)
    rows, watched = watch_diagnoses(table, source.uri)
    num_partitions = None if together else num_partitions_for(source.manifest.num_rows)
    everything = Observation()
    counted = count_codes(rows, salt, min_patients, num_partitions).observe(
        everything,
        F.count("*").alias("codes"),
        F.coalesce(F.sum("num_occurrences"), F.lit(0)).alias("occurrences"),
    )
    kept = kept_codes(counted, min_patients).toArrow()
    watched.check(source.uri)
    seen = everything.get
    occurrences = sum(kept["num_occurrences"].to_pylist())
    counts = {
        "rows_in": source.manifest.num_rows,
        "rows_of_training_split": seen["occurrences"],
        "codes": kept.num_rows,
        "codes_dropped": seen["codes"] - kept.num_rows,
        "rows_of_codes_dropped": seen["occurrences"] - occurrences,
    }
    if not kept.num_rows:
        raise ContractError(
            f"none of {counts['codes_dropped']} codes in the training split has {min_patients} patients",
            "a vocabulary has at least one code",
            "lower --min_patients (MIN_PATIENTS), or take more data; for a handful of patients, none of "
            "them in the training split, another --split_salt",
        )
    table = number_codes(kept)
    return NewVocabulary(
        table, STANDARD_SPECIAL_TOKENS, min_patients, {diagnoses.KIND: source.manifest.fingerprint}, counts
    )


def import_vocabulary(spark: SparkSession, uri: str) -> NewVocabulary:
    """A Med-BERT `.types` file, ids kept. It has no counts: all are 0. Raises ContractError."""
    file = Folder(spark, uri)
    if not file.exists():
        raise ContractError(f"{uri} does not exist", "types is Med-BERT's vocabulary file", "check --types")
    if (file.size("") or 0) > MAX_BYTES:
        raise ContractError(
            f"{uri} has {file.size('')} bytes", f"a .types file has at most {MAX_BYTES}", "check --types"
        )
    imported = import_types(parse_types(file.read_bytes(""), uri), uri)
    if imported.merged or imported.unrecognised:
        log.warning(
            "%d ids are second spellings of a code (theirs become placeholders), %d have no form we know",
            len(imported.merged),
            len(imported.unrecognised),
        )
    counts = {
        "codes": len(imported.tokens) - len(imported.special.ids),
        "codes_merged": len(imported.merged),
        "codes_unrecognised": len(imported.unrecognised),
    }
    return NewVocabulary(with_ids(imported.tokens), imported.special, None, {}, counts)


def write_vocabulary(folder: Folder, made: NewVocabulary) -> list[ManifestFile]:
    """vocab.txt and vocabulary.parquet; the same vocabulary gives the same bytes."""
    text = "".join(f"{token}\n" for token in made.tokens)
    parse_vocab_txt(text, VOCAB_FILE)
    sink = pa.BufferOutputStream()
    pq.write_table(made.table, sink, compression="zstd")
    return [
        write_file(folder, VOCAB_FILE, text.encode(), len(made.tokens)),
        write_file(folder, TABLE_FILE, sink.getvalue().to_pybytes(), len(made.tokens)),
    ]


def read_tokens(spark: SparkSession, source: Published) -> tuple[tuple[str, ...], SpecialTokens]:
    """A published vocabulary's tokens by id, and its special tokens. Raises ContractError."""
    text = Folder(spark, source.uri).read_bytes(VOCAB_FILE).decode()
    return parse_vocab_txt(text, join(source.uri, VOCAB_FILE)), special_tokens_of(
        dict(source.manifest.details), source.uri
    )
