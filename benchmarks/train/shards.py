"""Training shards and their vocabulary, made without Spark: patients as uneven as the generator's.

Lengths are log-normal (median 17 codes, mean 21, unless another mean is asked for) with one patient in 200
from a Pareto tail up to 600 codes; codes follow Zipf's law over the whole vocabulary; about three codes a
visit, one patient in five stays long. The files are those that the shards stage writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from schemas import shards as contract
from schemas import vocabulary as vocabulary_contract
from schemas.manifest import Manifest, ManifestFile, describe_file, join, publish_manifest
from schemas.vocabulary import STANDARD_SPECIAL_TOKENS
from spark_jobs.files.part_formats import FORMATS, MeasuredFile

FIRST_CODE = STANDARD_SPECIAL_TOKENS.first_code_id
ROWS_PER_SHARD = 10_000  # the shards stage's own
SHORTEST, LONGEST = 4, 600
MEDIAN, MEAN = 17.0, 21.2  # codes a patient
CODES_A_VISIT = 3
PROLONGED = 0.2


def write_vocabulary(uri: str, size: int) -> str:
    """A vocabulary of `size` tokens; returns its fingerprint."""
    os.makedirs(uri)
    special = ("[PAD]", "[UNK]", "[CLS]", "[MASK]")
    tokens = [*special, *(f"ICD10CM//X{number:05}" for number in range(size - len(special)))]
    with open(join(uri, vocabulary_contract.VOCAB_FILE), "w", encoding="utf-8") as file:
        file.writelines(f"{token}\n" for token in tokens)
    manifest = Manifest(
        kind=vocabulary_contract.KIND,
        files=(describe_file(uri, vocabulary_contract.VOCAB_FILE, size),),
        details={"special_tokens": asdict(STANDARD_SPECIAL_TOKENS), "min_patients": 1},
    )
    publish_manifest(uri, manifest)
    return manifest.fingerprint


def write_split(
    uri: str,
    patients: int,
    vocabulary_size: int,
    vocabulary_fingerprint: str,
    seed: int,
    topics: int = 1,
    formats: Sequence[str] = contract.FORMATS,
    median: float = MEDIAN,
) -> None:
    """One split's shards. The same arguments give the same bytes. topics, median: see random_rows."""
    os.makedirs(uri)
    files: list[ManifestFile] = []
    lengths_seen: list[np.ndarray] = []
    max_visits = 0
    for number, start in enumerate(range(0, patients, ROWS_PER_SHARD)):
        chance = np.random.default_rng((seed, number))
        rows = random_rows(chance, min(ROWS_PER_SHARD, patients - start), vocabulary_size, topics, median)
        lengths_seen.append(rows.column(contract.TOKEN_IDS).value_lengths().to_numpy())
        max_visits = max(max_visits, int(rows.column(contract.VISIT_NUMBERS).flatten().to_numpy().max()))
        for file_format in formats:
            name = contract.part_name(number, file_format)
            _write(join(uri, name), rows, file_format)
            files.append(describe_file(uri, name, rows.num_rows))
    lengths, counts = np.unique(np.concatenate(lengths_seen), return_counts=True)
    details = contract.shard_details(
        vocabulary_fingerprint=vocabulary_fingerprint,
        vocabulary_size=vocabulary_size,
        special_tokens=asdict(STANDARD_SPECIAL_TOKENS),
        num_codes=int(lengths @ counts),
        max_visits=max_visits,
        length_histogram=dict(zip(lengths.tolist(), counts.tolist(), strict=True)),
    )
    publish_manifest(uri, Manifest(kind=contract.KIND, files=tuple(files), details=details))


def random_rows(
    chance: np.random.Generator,
    patients: int,
    vocabulary_size: int,
    topics: int = 1,
    median: float = MEDIAN,
) -> pa.RecordBatch:
    """Rows of the contract schemas.shards. median: codes of a patient.

    Each patient has one of so many topics, each with commonest codes of its own; in the first half of the
    topics three in five stay long.
    """
    lengths = random_lengths(chance, patients, median)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    num_codes = vocabulary_size - FIRST_CODE
    token_ids = _zipf(chance, total, num_codes)
    prolonged = np.full(patients, PROLONGED)
    if topics > 1:
        topic = chance.integers(topics, size=patients)
        token_ids = (token_ids + np.repeat(topic * num_codes // topics, lengths)) % num_codes
        prolonged[topic < topics // 2] = 3 * PROLONGED
    token_ids += FIRST_CODE
    begins_visit = chance.random(total) < 1 / CODES_A_VISIT
    begins_visit[offsets[:-1]] = True
    visits_so_far = np.cumsum(begins_visit)
    visit_numbers = visits_so_far - np.repeat(visits_so_far[offsets[:-1]] - 1, lengths)
    columns = [
        *(_lists(values, offsets) for values in (token_ids, visit_numbers)),
        pa.array(chance.random(patients) < prolonged).cast(pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=contract.SHARDS.arrow)


def median_of(mean: float) -> float:
    """Codes of the median patient where the mean has so many, nearly."""
    return MEDIAN * mean / MEAN


def random_lengths(chance: np.random.Generator, patients: int, median: float = MEDIAN) -> np.ndarray:
    """(P,) int64: codes of each patient."""
    lengths = chance.lognormal(np.log(median), 0.65, patients)
    is_long = chance.random(patients) < 1 / 200
    lengths[is_long] = 60 * (1 + chance.pareto(1.5, int(is_long.sum())))
    return np.clip(lengths, SHORTEST, LONGEST).astype(np.int64)


def _zipf(chance: np.random.Generator, count: int, num_codes: int) -> np.ndarray:
    """(count,) from 0, number k with a chance like 1 / (k + 1): commonest codes come first."""
    heights = np.cumsum(1 / np.arange(1, num_codes + 1))
    return np.searchsorted(heights, chance.random(count) * heights[-1], side="right").clip(max=num_codes - 1)


def _lists(values: np.ndarray, offsets: np.ndarray) -> pa.ListArray:
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), pa.array(values.astype(np.int32)), type=pa.list_(pa.int32())
    )


def _write(path: str, rows: pa.RecordBatch, file_format: str) -> None:
    with open(path, "wb") as stream, MeasuredFile(stream) as file:
        part = FORMATS[file_format](file, contract.SHARDS.arrow)
        part.write(rows)
        part.close()
