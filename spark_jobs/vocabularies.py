"""Vocabularies: imported from a Med-BERT file, written, and read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from schemas.errors import ContractError
from schemas.manifest import ManifestFile, join
from schemas.medbert_types import MAX_BYTES, import_types, parse_types
from schemas.parquet import WRITE_OPTIONS
from schemas.vocabulary import (
    TABLE_FILE,
    VOCAB_FILE,
    SpecialTokens,
    decode_vocab_txt,
    parse_vocab_txt,
    special_tokens_of,
)  # fmt: skip
from spark_jobs.files.publish import Published, read_file, write_file
from spark_jobs.files.storage import Folder
from spark_jobs.transforms.vocabulary import number_codes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewVocabulary:
    """A vocabulary about to be written.

    table: schemas.vocabulary.VOCABULARY, by id. min_patients: None where none is known to hold.
    details: further ones for the manifest.
    """

    table: pa.Table
    special: SpecialTokens
    min_patients: int | None
    inputs: dict[str, str]
    counts: dict[str, int]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> list[str]:
        return self.table["token"].to_pylist()


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
    return NewVocabulary(number_codes(None, imported.tokens), imported.special, None, {}, counts)


def write_vocabulary(folder: Folder, made: NewVocabulary) -> list[ManifestFile]:
    """vocab.txt and vocabulary.parquet; the same vocabulary gives the same bytes."""
    text = "".join(f"{token}\n" for token in made.tokens)
    parse_vocab_txt(text, VOCAB_FILE)
    sink = pa.BufferOutputStream()
    pq.write_table(made.table, sink, compression="zstd", **WRITE_OPTIONS)
    return [
        write_file(folder, VOCAB_FILE, text.encode(), len(made.tokens)),
        write_file(folder, TABLE_FILE, sink.getvalue().to_pybytes(), len(made.tokens)),
    ]


def read_tokens(spark: SparkSession, source: Published) -> tuple[tuple[str, ...], SpecialTokens]:
    """A published vocabulary's tokens by id, and its special tokens. Raises ContractError."""
    tokens = decode_vocab_txt(read_file(spark, source, VOCAB_FILE), join(source.uri, VOCAB_FILE))
    return tokens, special_tokens_of(dict(source.manifest.details), source.uri)
