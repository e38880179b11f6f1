"""Which codes the model must guess (Devlin et al. 2018): 80% become [MASK], 10% another code, 10% stay as
they are.

What is drawn for a patient depends on (key, the patient's row) alone: not on the batch, the rank or the
process, so both backends, any number of ranks and a resumed run see the same masks. A new key each epoch
gives fresh masks.
"""

from __future__ import annotations

import numpy as np

from schemas.vocabulary import SpecialTokens
from trainer.config import MAX_SEQ_LENGTH, MaskingConfig
from trainer.core.hashing import derive_key, hash64
from trainer.core.input.batch import MaskedBatch, RaggedBatch
from trainer.core.input.ragged import ranges

_TRAINING, _EVALUATION = 3, 4  # kinds of draw

# A sort key holds patient, random bits and position, so that one sort chooses and no two keys are equal.
_POSITION_BITS = (MAX_SEQ_LENGTH - 1).bit_length()
_RANDOM_BITS = 30
MAX_PATIENTS = 1 << (64 - _POSITION_BITS - _RANDOM_BITS)


def training_key(seed: int, epoch: int) -> np.uint64:
    return derive_key(_TRAINING, seed, epoch)


def evaluation_key() -> np.uint64:
    """The same masks at every evaluation and in every run, so that runs can be compared."""
    return derive_key(_EVALUATION)


class Masker:
    """Masks batches of one vocabulary. Only codes are ever guessed, never [UNK] or another special token."""

    def __init__(self, config: MaskingConfig, special: SpecialTokens, vocabulary_size: int) -> None:
        self._config = config
        self._mask_id = special.mask
        self._first_code_id = special.first_code_id
        self._num_codes = vocabulary_size - special.first_code_id

    def mask(self, batch: RaggedBatch, key: np.uint64) -> MaskedBatch:
        """Draw and apply the masks of every patient of a batch."""
        assert batch.num_patients <= MAX_PATIENTS and batch.lengths.max(initial=0) <= MAX_SEQ_LENGTH
        draws = self._draws(batch, key)
        masked = self._choose(batch, draws)
        labels = batch.token_ids[masked]
        input_ids = batch.token_ids.copy()
        input_ids[masked] = self._replacements(labels, draws[masked])
        return MaskedBatch(batch, input_ids, masked, labels)

    def _draws(self, batch: RaggedBatch, key: np.uint64) -> np.ndarray:
        """(N,) uint64: one number for each (patient's row, place in the patient)."""
        lengths = batch.lengths
        row_keys = hash64(key, batch.row_numbers)
        return hash64(np.repeat(row_keys, lengths), ranges(np.zeros(len(lengths), np.int64), lengths))

    def _choose(self, batch: RaggedBatch, draws: np.ndarray) -> np.ndarray:
        """(K,) int64: of each patient the codes with the smallest draws, as many as are to be masked."""
        is_code = batch.token_ids >= self._first_code_id
        codes_before = np.concatenate([[0], np.cumsum(is_code)])[batch.offsets]
        codes_each = np.diff(codes_before)
        patients = np.repeat(np.arange(batch.num_patients, dtype=np.uint64), codes_each)
        places = np.flatnonzero(is_code)
        positions = (places - np.repeat(batch.offsets[:-1], codes_each)).astype(np.uint64)
        keys = draws[places] >> np.uint64(64 - _RANDOM_BITS) << np.uint64(_POSITION_BITS)
        keys |= patients << np.uint64(_RANDOM_BITS + _POSITION_BITS)
        keys |= positions
        keys.sort(kind="stable")  # merges what is in order: the patients are
        masked_each = self.num_masked(codes_each)
        chosen = keys[ranges(codes_before[:-1], masked_each)]
        chosen_positions = (chosen & np.uint64((1 << _POSITION_BITS) - 1)).astype(np.int64)
        masked = np.repeat(batch.offsets[:-1], masked_each) + chosen_positions
        masked.sort(kind="stable")
        return masked

    def num_masked(self, codes_each: np.ndarray) -> np.ndarray:
        """(P,) int64: masked codes of patients with so many codes."""
        if self._config.codes_per_patient is not None:
            wanted = np.full_like(codes_each, self._config.codes_per_patient)
        else:
            wanted = np.maximum(np.floor(codes_each * self._config.rate + 0.5).astype(np.int64), 1)
        return np.minimum(wanted, codes_each)

    def _replacements(self, labels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """(K,) int32: what stands in the masked places."""
        draws = hash64(np.uint64(0), draws)  # those that chose the places are all small ones
        share = (draws >> np.uint64(40)).astype(np.float64) / 2**24
        random_codes = (draws & np.uint64(0xFFFFFFFF)) * np.uint64(self._num_codes) >> np.uint64(32)
        mask_below = self._config.mask_share
        random_below = mask_below + self._config.random_share
        replaced = np.where(share < random_below, random_codes.astype(np.int32) + self._first_code_id, labels)
        return np.where(share < mask_below, self._mask_id, replaced).astype(np.int32)
