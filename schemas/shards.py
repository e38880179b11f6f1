"""`shards/<split>/`: `part-00000.parquet` and/or `part-00000.tfrecord`, rows in a seeded random order.

No patient id and no date leaves the sequences stage. The two formats of one part hold the same rows in the
same order. token_ids are not masked: masking is the trainer's, fresh each epoch. TFRecord fields are those
of the Parquet columns, as int64 lists of a `tf.train.Example`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from schemas.errors import ContractError
from schemas.manifest import Manifest, ManifestFile, read_manifest
from schemas.table import Column, TableSchema

KIND = "shards"
PARQUET = "parquet"
TFRECORD = "tfrecord"
FORMATS = (PARQUET, TFRECORD)

TOKEN_IDS = "token_ids"
VISIT_NUMBERS = "visit_numbers"
PROLONGED_LOS = "prolonged_los"

SHARDS = TableSchema(
    "shards",
    (
        Column(TOKEN_IDS, "array<int>", meaning="(T,) codes of one patient, ragged"),
        Column(VISIT_NUMBERS, "array<int>", meaning="(T,), from 1"),
        Column(PROLONGED_LOS, "int", meaning="0 or 1"),
    ),
)


def part_name(number: int, file_format: str) -> str:
    return f"part-{number:05d}.{file_format}"


def is_part_name(name: str) -> bool:
    return re.fullmatch(r"part-\d{5,}\.[a-z]+", name) is not None


def part_number(path: str) -> int:
    """The number in a part file's name."""
    return int(path.rpartition("part-")[2].partition(".")[0])


@dataclass(frozen=True)
class ShardSet:
    """One split's shards in one format, as their manifest states them.

    files: in order of part number. length_histogram: codes a patient → patients (before any cut).
    """

    uri: str
    file_format: str
    files: tuple[ManifestFile, ...]
    vocabulary_fingerprint: str
    vocabulary_size: int
    special_tokens: dict[str, int | None]
    num_patients: int
    num_codes: int
    max_visits: int
    length_histogram: dict[int, int]
    fingerprint: str


def shard_details(
    *,
    vocabulary_fingerprint: str,
    vocabulary_size: int,
    special_tokens: dict[str, int | None],
    num_codes: int,
    max_visits: int,
    length_histogram: dict[int, int],
) -> dict[str, Any]:
    """What a shards manifest adds to the common keys."""
    return {
        "vocabulary_fingerprint": vocabulary_fingerprint,
        "vocabulary_size": vocabulary_size,
        "special_tokens": special_tokens,
        "num_codes": num_codes,
        "max_visits": max_visits,
        "length_histogram": {str(k): v for k, v in sorted(length_histogram.items())},
    }


def read_shard_set(uri: str, file_format: str, *, verify: bool = False) -> ShardSet:
    """Open one split's shards. Raises ContractError: no manifest, a damaged file, no such format."""
    manifest: Manifest = read_manifest(uri, KIND, verify=verify)
    files = tuple(
        sorted((f for f in manifest.files if f.path.endswith(f".{file_format}")), key=lambda f: f.path)
    )
    if manifest.files and not files:
        raise ContractError(
            f"{uri} has no {file_format} files",
            "the shards are written in the formats asked for",
            f"write them with {file_format} among the formats, or use a reader of the other format",
        )
    details = manifest.details
    return ShardSet(
        uri=uri,
        file_format=file_format,
        files=files,
        vocabulary_fingerprint=details["vocabulary_fingerprint"],
        vocabulary_size=details["vocabulary_size"],
        special_tokens=details["special_tokens"],
        num_patients=sum(file.rows for file in files),
        num_codes=details["num_codes"],
        max_visits=details["max_visits"],
        length_histogram={int(k): v for k, v in details["length_histogram"].items()},
        fingerprint=manifest.fingerprint,
    )
