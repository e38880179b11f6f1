"""Ragged → dense with few empty slots: patients of like length share a block.

A batch is sorted by length and cut into the fewest blocks of which enough slots hold a code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trainer.core.batch import MaskedBatch, RaggedBatch
from trainer.core.masking import MaskedCodes
from trainer.core.ragged import ranges

MIN_FILLED = 0.90
"""Share of slots that must hold a code. More blocks fill better and cost more passes."""
MAX_BLOCK_SLOTS = 32_768
"""Slots of one block at most: bounds the memory of a step whatever the batch size."""
_MAX_EDGES = 128


def parts_of(blocks: Sequence[MaskedBatch], max_slots: int) -> list[list[MaskedBatch]]:
    """Blocks in groups of at most so many slots each (or one patient); a larger block is cut by patients."""
    parts: list[list[MaskedBatch]] = []
    slots = 0
    for block in blocks:
        width = block.input_ids.shape[1]
        for piece in _rows_at_a_time(block, max(1, max_slots // width)):
            if not parts or slots + piece.input_ids.size > max_slots:
                parts.append([])
                slots = 0
            parts[-1].append(piece)
            slots += piece.input_ids.size
    return parts


def deal(blocks: Sequence[MaskedBatch], hands: int) -> list[list[MaskedBatch]]:
    """The patients of all blocks in so many hands, dealt back and forth, so that hands are alike in length.

    A hand may get nobody.
    """
    dealt: list[list[MaskedBatch]] = [[] for _ in range(hands)]
    before = 0
    for block in blocks:
        turns = (before + np.arange(len(block.lengths))) % (2 * hands)
        hand_of = np.minimum(turns, 2 * hands - 1 - turns)
        for number, hand in enumerate(dealt):
            rows = np.flatnonzero(hand_of == number)
            if len(rows):
                hand.append(_rows_of(block, rows))
        before += len(block.lengths)
    return dealt


def _rows_at_a_time(block: MaskedBatch, most: int) -> Iterator[MaskedBatch]:
    patients = len(block.lengths)
    if patients <= most:
        yield block
        return
    for start in range(0, patients, most):
        yield _rows_of(block, np.arange(start, min(start + most, patients)))


def _rows_of(block: MaskedBatch, rows: np.ndarray) -> MaskedBatch:
    """These patients, in this order."""
    patients, width = block.input_ids.shape
    numbers = np.full(patients, -1)
    numbers[rows] = np.arange(len(rows))
    row, column = np.divmod(block.masked_positions, width)
    masked = numbers[row] >= 0
    return MaskedBatch(
        block.input_ids[rows],
        block.visit_numbers[rows],
        block.lengths[rows],
        (numbers[row] * width + column)[masked].astype(np.int32),
        block.masked_labels[masked],
        block.prolonged_los[rows],
    )


def lay_out(
    batch: RaggedBatch, codes: MaskedCodes, pad_id: int, *, min_filled: float = MIN_FILLED
) -> list[MaskedBatch]:
    """The batch as dense blocks, shortest patients first; no block for no patients."""
    if not batch.num_patients:
        return []
    order = np.argsort(batch.lengths, kind="stable")
    cuts = _split_large(block_cuts(batch.lengths[order], min_filled), batch.lengths[order])
    sizes = np.diff(cuts)
    widths = batch.lengths[order][cuts[1:] - 1]

    block_of = np.empty(batch.num_patients, np.int64)
    row_of = np.empty(batch.num_patients, np.int64)
    block_of[order] = np.repeat(np.arange(len(sizes)), sizes)
    row_of[order] = ranges(np.zeros(len(sizes), np.int64), sizes)

    masked_patients = np.searchsorted(batch.offsets, codes.masked, side="right") - 1
    masked_blocks = block_of[masked_patients]
    masked_slots = codes.masked - batch.offsets[masked_patients]
    masked_slots += row_of[masked_patients] * widths[masked_blocks]
    by_block = np.argsort(masked_blocks, kind="stable")
    masked_cuts = np.searchsorted(masked_blocks[by_block], np.arange(len(sizes) + 1))

    blocks = []
    for number, width in enumerate(widths):
        rows = order[cuts[number] : cuts[number + 1]]
        chosen = by_block[masked_cuts[number] : masked_cuts[number + 1]]
        blocks.append(
            _block(batch, codes, rows, int(width), pad_id, masked_slots[chosen], codes.labels[chosen])
        )
    return blocks


def _block(
    batch: RaggedBatch,
    codes: MaskedCodes,
    rows: np.ndarray,
    width: int,
    pad_id: int,
    masked_slots: np.ndarray,
    labels: np.ndarray,
) -> MaskedBatch:
    lengths = batch.lengths[rows]
    source = ranges(batch.offsets[rows], lengths)
    target = ranges(np.arange(len(rows), dtype=np.int64) * width, lengths)
    input_ids = np.full(len(rows) * width, pad_id, np.int32)
    visit_numbers = np.zeros(len(rows) * width, np.int32)
    input_ids[target] = codes.input_ids[source]
    visit_numbers[target] = batch.visit_numbers[source]
    return MaskedBatch(
        input_ids=input_ids.reshape(len(rows), width),
        visit_numbers=visit_numbers.reshape(len(rows), width),
        lengths=lengths.astype(np.int32),
        masked_positions=masked_slots.astype(np.int32),
        masked_labels=labels,
        prolonged_los=batch.prolonged_los[rows],
    )


def block_cuts(sorted_lengths: np.ndarray, min_filled: float) -> np.ndarray:
    """Where to cut patients sorted by length, (blocks + 1,) from 0 to P: the fewest blocks filled enough.

    Exact (dynamic programming over the distinct lengths) up to 128 distinct lengths, nearly so beyond.
    """
    edges = _edges(sorted_lengths)
    widths = sorted_lengths[edges[1:] - 1]
    num_codes = int(sorted_lengths.sum())
    # slots[i, j]: one block of the patients edges[i]:edges[j + 1]
    slots = np.where(
        np.arange(len(edges) - 1)[:, None] <= np.arange(len(widths)),
        (edges[1:] - edges[:-1, None]) * widths.astype(np.float64),
        np.inf,
    )
    best = slots[0]
    previous: list[np.ndarray] = []
    while best[-1] * min_filled > num_codes and len(previous) < len(widths) - 1:
        candidates = np.vstack([np.full(len(widths), np.inf), best[:-1, None] + slots[1:]])
        previous.append(candidates.argmin(axis=0))
        best = candidates.min(axis=0)
    cuts = [len(edges) - 1]
    for choice in reversed(previous):
        cuts.append(int(choice[cuts[-1] - 1]))
    return edges[[0, *reversed(cuts)]]


def _edges(sorted_lengths: np.ndarray) -> np.ndarray:
    """Places at which a cut is worth trying: where the length changes, thinned evenly if very many."""
    changes = np.flatnonzero(np.diff(sorted_lengths)) + 1
    if len(changes) > _MAX_EDGES:
        changes = changes[np.linspace(0, len(changes) - 1, _MAX_EDGES).astype(np.int64)]
    return np.concatenate([[0], changes, [len(sorted_lengths)]])


def _split_large(cuts: np.ndarray, sorted_lengths: np.ndarray) -> np.ndarray:
    """Cut blocks of too many slots into blocks of fewer rows."""
    widths = sorted_lengths[cuts[1:] - 1]
    pieces = [
        np.arange(start, stop, max(1, MAX_BLOCK_SLOTS // int(width)))
        for start, stop, width in zip(cuts[:-1], cuts[1:], widths, strict=True)
    ]
    return np.concatenate([*pieces, cuts[-1:]])
