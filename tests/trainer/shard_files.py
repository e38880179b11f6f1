"""Writes small vocabularies and shards for tests, through the contracts of `schemas`."""

from __future__ import annotations

import os
import struct
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from crc32c import crc32c

from schemas import shards as contract
from schemas import vocabulary as vocabulary_contract
from schemas.manifest import Manifest, describe_file, join, publish_manifest
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS, SpecialTokens

FIRST_CODE = STANDARD_SPECIAL_TOKENS.first_code_id


@dataclass(frozen=True)
class Patient:
    token_ids: list[int]
    visit_numbers: list[int]
    prolonged_los: int


def random_patients(
    count: int, *, seed: int = 0, num_conditions: int = 4, codes_each: int = 10, longest: int = 40
) -> list[Patient]:
    """Patients whose codes are those of one condition, so that a model has something to find.

    A patient's label is that of the condition (odd ones stay long). The vocabulary is of num_codes(…) codes.
    """
    rng = np.random.default_rng(seed)
    patients = []
    for _ in range(count):
        condition = int(rng.integers(num_conditions))
        own = FIRST_CODE + condition * codes_each + np.arange(codes_each)
        token_ids: list[int] = []
        visit_numbers: list[int] = []
        wanted = int(np.clip(rng.lognormal(2.3, 0.6), 2, longest))
        visit = 0
        while len(token_ids) < wanted:
            visit += 1
            codes = rng.permutation(own)[: min(int(rng.integers(1, 5)), wanted - len(token_ids))]
            token_ids += codes.tolist()
            visit_numbers += [visit] * len(codes)
        patients.append(Patient(token_ids, visit_numbers, condition % 2))
    return patients


def write_vocabulary(uri: str, num_codes: int = 40, special: SpecialTokens = STANDARD_SPECIAL_TOKENS) -> str:
    """A vocabulary folder; returns its fingerprint."""
    os.makedirs(uri)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[MASK]"][: special.first_code_id]
    tokens = specials + [f"ICD10CM//X{number:02}" for number in range(num_codes)]
    with open(join(uri, vocabulary_contract.VOCAB_FILE), "w") as stream:
        stream.writelines(f"{token}\n" for token in tokens)
    manifest = Manifest(
        kind=vocabulary_contract.KIND,
        files=(describe_file(uri, vocabulary_contract.VOCAB_FILE, len(tokens)),),
        details={"special_tokens": asdict(special), "min_patients": 1},
    )
    publish_manifest(uri, manifest)
    return manifest.fingerprint


def write_split(
    uri: str,
    parts: list[list[Patient]],
    *,
    vocabulary_fingerprint: str,
    vocabulary_size: int = 44,
    formats: tuple[str, ...] = contract.FORMATS,
) -> None:
    """One split's shards: a list of patients each."""
    os.makedirs(uri)
    files = []
    for number, patients in enumerate(parts):
        for file_format in formats:
            name = contract.part_name(number, file_format)
            write = write_parquet if file_format == contract.PARQUET else write_tfrecord
            write(join(uri, name), patients)
            files.append(describe_file(uri, name, len(patients)))
    everyone = [patient for patients in parts for patient in patients]
    lengths = Counter(len(patient.token_ids) for patient in everyone)
    publish_manifest(
        uri,
        Manifest(
            kind=contract.KIND,
            files=tuple(files),
            details=contract.shard_details(
                vocabulary_fingerprint=vocabulary_fingerprint,
                vocabulary_size=vocabulary_size,
                special_tokens=asdict(STANDARD_SPECIAL_TOKENS),
                num_codes=sum(length * count for length, count in lengths.items()),
                max_visits=max((v for patient in everyone for v in patient.visit_numbers), default=0),
                length_histogram=dict(lengths),
            ),
        ),
    )


def write_parquet(path: str, patients: list[Patient]) -> None:
    table = pa.table(
        {
            contract.TOKEN_IDS: [p.token_ids for p in patients],
            contract.VISIT_NUMBERS: [p.visit_numbers for p in patients],
            contract.PROLONGED_LOS: [p.prolonged_los for p in patients],
        },
        schema=contract.SHARDS.arrow,
    )
    pq.write_table(table, path, row_group_size=7, write_page_checksum=True)


def write_tfrecord(path: str, patients: list[Patient]) -> None:
    """Byte by byte, as the format's description says: a check of the reader that shares nothing with it."""
    with open(path, "wb") as stream:
        for patient in patients:
            stream.write(framed(example(vars(patient))))


def framed(payload: bytes) -> bytes:
    header = struct.pack("<Q", len(payload))
    return header + _masked_crc(header) + payload + _masked_crc(payload)


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def example(features: dict[str, list[int] | int]) -> bytes:
    """A serialised tf.train.Example of int64 lists."""
    entries = b""
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        int64_list = field(1, b"".join(varint(v) for v in values))
        entries += field(1, field(1, name.encode()) + field(2, field(3, int64_list)))
    return field(1, entries)


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
