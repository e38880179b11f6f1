"""Rows out of ragged batches, on flat buffers: no loop over patients or codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.latest_codes import latest_codes
from trainer.core.input.batch import RaggedBatch


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(sum of lengths,) int64: starts[i], starts[i] + 1, … lengths[i] numbers, one range after the other."""
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(P + 1,) int64 from (P,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def empty_batch() -> RaggedBatch:
    """No patients: what a rank gets whose share of the epoch is already done."""
    none = np.zeros(0, np.int32)
    return RaggedBatch(none, none, np.zeros(1, np.int64), none, np.zeros(0, np.int64))


def take(batch: RaggedBatch, rows: np.ndarray) -> RaggedBatch:
    """The patients at `rows` (K,), in that order."""
    lengths = batch.lengths[rows]
    codes = ranges(batch.offsets[rows], lengths)
    return RaggedBatch(
        token_ids=batch.token_ids[codes],
        visit_numbers=batch.visit_numbers[codes],
        offsets=offsets_of(lengths),
        prolonged_los=batch.prolonged_los[rows],
        row_numbers=batch.row_numbers[rows],
    )


def concatenate(batches: Sequence[RaggedBatch]) -> RaggedBatch:
    """All patients of several batches, in order."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return empty_batch()
    return RaggedBatch(
        token_ids=np.concatenate([b.token_ids for b in batches]),
        visit_numbers=np.concatenate([b.visit_numbers for b in batches]),
        offsets=offsets_of(np.concatenate([b.lengths for b in batches])),
        prolonged_los=np.concatenate([b.prolonged_los for b in batches]),
        row_numbers=np.concatenate([b.row_numbers for b in batches]),
    )


def cut(batch: RaggedBatch, max_seq_length: int) -> tuple[RaggedBatch, int]:
    """Keep each patient's latest codes; the first visit that is kept becomes number 1.

    Returns the batch and the number of patients that were cut.
    """
    num_cut = int(np.count_nonzero(batch.lengths > max_seq_length))
    if not num_cut:
        return batch, 0
    latest = latest_codes(batch.visit_numbers, batch.offsets, max_seq_length)
    shortened = RaggedBatch(
        token_ids=batch.token_ids[latest.kept],
        visit_numbers=latest.visit_numbers,
        offsets=latest.offsets,
        prolonged_los=batch.prolonged_los,
        row_numbers=batch.row_numbers,
    )
    return shortened, num_cut
