"""The patients on which source and target are compared: random ones, and real ones from shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from conversion.patients.patient_files import patients_of
from conversion.tokens.vocabulary_source import ModelVocabulary
from schemas.errors import ContractError
from schemas.model_config import BertConfig
from schemas.parquet import open_listed_parquet
from schemas.shards import PARQUET, PROLONGED_LOS, TOKEN_IDS, VISIT_NUMBERS, read_shard_set
from schemas.vocabulary import SpecialTokens

NUM_RANDOM = 4
NUM_REAL = 12
MASKED_PER_PATIENT = 3


@dataclass(frozen=True)
class Patient:
    """One patient's codes (T,), their visit numbers (T,) and whether a stay was long (0 or 1)."""

    token_ids: np.ndarray
    visit_numbers: np.ndarray
    prolonged_los: int


def random_patients(config: BertConfig, special: SpecialTokens, num_tokens: int, seed: int) -> list[Patient]:
    """Random patients that reach every position, the first and last code and the last visit number.

    One has the most codes that the model takes, and one has a single code.
    """
    rng = np.random.default_rng(seed)
    longest = config.max_position_embeddings
    lengths = [longest, 1, *rng.integers(1, longest + 1, NUM_RANDOM - 2)]
    first_code = min(special.first_code_id, num_tokens - 1)
    patients = []
    for number, length in enumerate(lengths):
        token_ids = rng.integers(first_code, num_tokens, length)
        token_ids[-1] = num_tokens - 1 if number % 2 == 0 else first_code
        visits = np.sort(rng.integers(min(1, config.type_vocab_size - 1), config.type_vocab_size, length))
        visits[-1] = config.type_vocab_size - 1
        patients.append(Patient(token_ids, visits, int(rng.integers(2))))
    return patients


def real_patients(
    shards: str, config: BertConfig, vocabulary: ModelVocabulary, max_seq_length: int
) -> list[Patient]:
    """The first patients of one split's Parquet shards, the latest codes of each as in training.

    Raises ContractError where the shards are of another vocabulary, or there is no Parquet among them.
    """
    shard_set = read_shard_set(shards, PARQUET)
    stated = (shard_set.vocabulary_size, shard_set.vocabulary_fingerprint)
    # A vocabulary that came without its folder has no fingerprint to compare.
    wanted = (len(vocabulary.tokens), vocabulary.fingerprint or shard_set.vocabulary_fingerprint)
    if stated != wanted:
        raise ContractError(
            f"the shards' vocabulary ({stated[0]} tokens, {stated[1][:12]}…) is not the checkpoint's "
            f"({wanted[0]} tokens, {wanted[1][:12]}…)",
            "shards and checkpoint share one vocabulary",
            "give shards written with the checkpoint's vocabulary",
        )
    patients: list[Patient] = []
    for file in shard_set.files:
        with open_listed_parquet(shards, file) as parquet:
            columns = [TOKEN_IDS, VISIT_NUMBERS, PROLONGED_LOS]
            batch = next(parquet.iter_batches(NUM_REAL - len(patients), columns=columns), None)
        if batch is not None:
            patients += _latest(batch, config, max_seq_length)
        if len(patients) >= NUM_REAL:
            break
    return patients


def _latest(batch: Any, config: BertConfig, max_seq_length: int) -> list[Patient]:
    """The patients of an Arrow record batch of shards, cut as in training.

    Visit numbers that the model does not have become its last one: what is compared needs some number.
    """
    latest = patients_of(batch).latest(max_seq_length)
    visits = np.minimum(latest.visit_numbers, config.type_vocab_size - 1)
    ends, prolonged_los = latest.offsets[1:-1], batch[PROLONGED_LOS].to_pylist()
    rows = zip(np.split(latest.token_ids, ends), np.split(visits, ends), prolonged_los, strict=True)
    return [Patient(*row) for row in rows]


def make_inputs(patients: list[Patient], special: SpecialTokens, seed: int) -> dict[str, np.ndarray]:
    """A padded batch with some codes masked, under the names that `trainer forward` reads.

    input_ids, attention_mask, token_type_ids: (B, T); masked_rows, masked_columns, masked_labels: (M,);
    prolonged_los: (B,).
    """
    rng = np.random.default_rng(seed)
    longest = max(len(patient.token_ids) for patient in patients)
    input_ids = np.full((len(patients), longest), special.pad, np.int32)
    attention_mask, token_type_ids = np.zeros_like(input_ids), np.zeros_like(input_ids)
    rows, columns, labels = [], [], []
    for row, patient in enumerate(patients):
        length = len(patient.token_ids)
        input_ids[row, :length] = patient.token_ids
        attention_mask[row, :length] = 1
        token_type_ids[row, :length] = patient.visit_numbers
        for column in np.sort(rng.permutation(length)[:MASKED_PER_PATIENT]):
            rows.append(row)
            columns.append(column)
            labels.append(patient.token_ids[column])
            input_ids[row, column] = special.mask
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": token_type_ids,
        "masked_rows": np.asarray(rows, np.int32),
        "masked_columns": np.asarray(columns, np.int32),
        "masked_labels": np.asarray(labels, np.int32),
        "prolonged_los": np.asarray([patient.prolonged_los for patient in patients], np.int32),
    }
