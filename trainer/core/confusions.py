"""Which code the model takes for which, in how many patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.core.backend import Backend
from trainer.core.input.batch import MaskedBatch
from trainer.core.together import gather_rows
from trainer.core.world import World


@dataclass(frozen=True)
class Confusions:
    """Over all patients of an evaluation, on every rank; C pairs of a code and another one predicted."""

    codes: np.ndarray
    """(C,) int64: the code that stood behind [MASK]"""
    predicted: np.ndarray
    """(C,) int64: the likeliest code of the model"""
    patients: np.ndarray
    """(C,) int64: in whom it happened, once or more"""
    patients_masked: np.ndarray
    """(V,) int64: in whom each code stood behind [MASK], once or more"""


class ConfusionCounts:
    """One rank's part. Each patient is evaluated once, so the ranks' patients add up."""

    def __init__(self, vocabulary_size: int) -> None:
        self._size = vocabulary_size
        self._pairs: list[np.ndarray] = []
        self._patients_masked = np.zeros(vocabulary_size, np.int64)

    def add(self, batch: MaskedBatch, top_codes: np.ndarray) -> None:
        """top_codes: (K, 10), the likeliest codes of each masked one."""
        if not len(batch.masked):
            return
        size = np.int64(self._size)
        patients = batch.masked_patients
        labels, predicted = batch.labels.astype(np.int64), top_codes[:, 0].astype(np.int64)
        self._patients_masked += np.bincount(np.unique(patients * size + labels) % size, minlength=self._size)
        wrong = predicted != labels
        found = np.unique((patients[wrong] * size + labels[wrong]) * size + predicted[wrong])
        self._pairs.append(found % (size * size))

    def over_ranks(self, backend: Backend, world: World) -> Confusions:
        """Every rank must ask."""
        pairs, patients = np.unique(np.concatenate([np.empty(0, np.int64), *self._pairs]), return_counts=True)
        rows = gather_rows(backend, world, "confusions", np.stack([pairs, patients], axis=1))
        pairs, places = np.unique(rows[:, 0], return_inverse=True)
        codes, predicted = np.divmod(pairs, self._size)
        return Confusions(
            codes,
            predicted,
            np.bincount(places, rows[:, 1], len(pairs)).astype(np.int64),
            backend.all_reduce("confusions.masked", self._patients_masked),
        )
