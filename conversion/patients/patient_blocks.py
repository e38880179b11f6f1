"""Patients as dense blocks with few empty slots: those of like length together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from conversion.model_folder import ModelFolder
from conversion.patients.patient_files import Patients
from schemas.errors import ContractError

MIN_FILLED = 0.9
"""Share of a block's slots that must hold a code."""


@dataclass(frozen=True)
class Block:
    """rows: (B,) which patients. input_ids, visit_numbers: (B, T), padded; lengths: (B,), ascending."""

    rows: np.ndarray
    input_ids: np.ndarray
    visit_numbers: np.ndarray
    lengths: np.ndarray

    @property
    def attention_mask(self) -> np.ndarray:
        """(B, T), 1 where a code is."""
        return (np.arange(self.input_ids.shape[1]) < self.lengths[:, np.newaxis]).astype(np.int64)


def blocks(patients: Patients, max_codes: int, pad_id: int, max_slots: int) -> Iterator[Block]:
    """Every patient with a code in one block, in blocks of at most max_slots slots or one patient.

    Of a patient of more than max_codes the latest are kept: see schemas.latest_codes.
    """
    patients = patients.latest(max_codes)
    lengths = np.diff(patients.offsets)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    stop = len(order)
    while stop:  # from the longest down: the last row kept is the widest
        width = int(lengths[order[stop - 1]])
        start = stop - _num_rows(lengths[order[max(0, stop - max(1, max_slots // width)) : stop]])
        yield _block(patients, order[start:stop], lengths[order[start:stop]], width, pad_id)
        stop = start


def _num_rows(lengths: np.ndarray) -> int:
    """How many of these patients, from the longest, are one block: until too few slots hold a code.

    lengths: (B,) ascending.
    """
    falling = lengths[::-1]
    filled = np.cumsum(falling) / (np.arange(1, len(falling) + 1) * falling[0])
    return int(np.count_nonzero(filled >= MIN_FILLED))  # each further patient is shorter: it only falls


def blocks_for(model: ModelFolder, patients: Patients, max_slots: int) -> Iterator[Block]:
    """Blocks as `model` takes them. Raises ContractError for a token or a visit that it does not know."""
    if len(patients.token_ids) and patients.token_ids.max() >= len(model.tokens):
        raise ContractError(
            f"a patient has token id {patients.token_ids.max()}, and the model {len(model.tokens)} tokens",
            "every id has a token",
            "give patients of the model's vocabulary: of a model that was shrunk, written with one that has "
            "the same MIN_PATIENTS",
        )
    for block in blocks(patients, model.max_seq_length, model.special.pad, max_slots):
        if block.visit_numbers.max() >= model.config.type_vocab_size:
            raise ContractError(
                f"a patient has {block.visit_numbers.max()} visits",
                f"the model takes fewer than {model.config.type_vocab_size}",
                "leave such patients out",
            )
        yield block


def _block(patients: Patients, rows: np.ndarray, lengths: np.ndarray, width: int, pad_id: int) -> Block:
    starts = patients.offsets[rows]
    real = np.arange(width) < lengths[:, np.newaxis]  # (B, T)
    source = (starts[:, np.newaxis] + np.arange(width))[real]
    input_ids = np.full(real.shape, pad_id, np.int64)
    visit_numbers = np.zeros(real.shape, np.int64)
    input_ids[real] = patients.token_ids[source]
    visit_numbers[real] = patients.visit_numbers[source]
    return Block(rows, input_ids, visit_numbers, lengths)
