"""Ragged batches for the tests of trainer.core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.core.input.batch import RaggedBatch
from trainer.core.input.ragged import offsets_of


def ragged(
    token_ids: Sequence[Sequence[int]],
    visit_numbers: Sequence[Sequence[int]] | None = None,
    row_numbers: Sequence[int] | None = None,
) -> RaggedBatch:
    """A batch of the given patients; each code a visit of its own unless said otherwise."""
    visits = visit_numbers or [range(1, len(codes) + 1) for codes in token_ids]
    return RaggedBatch(
        token_ids=np.asarray([c for codes in token_ids for c in codes], np.int32),
        visit_numbers=np.asarray([v for numbers in visits for v in numbers], np.int32),
        offsets=offsets_of(np.asarray([len(codes) for codes in token_ids], np.int64)),
        prolonged_los=np.arange(len(token_ids), dtype=np.int32) % 2,
        row_numbers=np.asarray(row_numbers or range(len(token_ids)), np.int64),
    )


def random_batch(
    num_patients: int, *, seed: int = 0, vocabulary_size: int = 500, longest: int = 300
) -> RaggedBatch:
    """Lengths with a long tail, as claims have."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(2.9, 0.75, num_patients).astype(int), 1, longest)
    codes = [rng.integers(4, vocabulary_size, length).tolist() for length in lengths]
    visits = [np.sort(rng.integers(1, length // 3 + 2, length)).tolist() for length in lengths]
    return ragged(codes, visits)


def patients_of(batch: RaggedBatch) -> list[tuple[list[int], list[int], int, int]]:
    """(codes, visits, label, row number) of each patient."""
    return [
        (
            batch.token_ids[start:stop].tolist(),
            batch.visit_numbers[start:stop].tolist(),
            int(batch.prolonged_los[p]),
            int(batch.row_numbers[p]),
        )
        for p, (start, stop) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True))
    ]
