"""Everything between the shards and a training step: order, stream, cut, masks, blocks."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from trainer.config import MAX_SLOTS
from trainer.core.batch import MaskedBatch, RaggedBatch
from trainer.core.layout import lay_out
from trainer.core.masking import MaskedCodes, Masker, training_key
from trainer.core.order import Order, Position
from trainer.core.ragged import cut, empty_batch
from trainer.core.slots import StepBlocks
from trainer.core.stream import stream_batches
from trainer.readers.base import ShardReader


@dataclass(frozen=True)
class StepInput:
    """One rank's input of one step."""

    blocks: StepBlocks
    num_patients: int
    num_codes: int
    num_masked: int
    num_slots: int
    """Of the packed rows, which the network computes."""
    num_cut: int
    """Patients that had more codes than max_seq_length."""
    position: Position
    """Where the run stands once the step is done."""


@dataclass(frozen=True)
class PreparedBatch:
    """A batch on its way into the model."""

    patients: RaggedBatch
    """After the cut, not masked."""
    codes: MaskedCodes
    blocks: list[MaskedBatch]
    num_cut: int


@dataclass(frozen=True)
class BatchMaker:
    """A ragged batch → cut, masked, in dense blocks."""

    masker: Masker
    pad_id: int
    max_seq_length: int

    def prepare(self, batch: RaggedBatch, key: np.uint64) -> PreparedBatch:
        """key: draws the masks."""
        batch, num_cut = cut(batch, self.max_seq_length)
        codes = self.masker.mask(batch, key)
        return PreparedBatch(batch, codes, lay_out(batch, codes, self.pad_id), num_cut)


def training_input(
    reader: ShardReader,
    maker: BatchMaker,
    seed: int,
    rank: int,
    position: Position,
    max_slots: int = MAX_SLOTS,
) -> Iterator[StepInput]:
    """One rank's steps from a position on, epoch after epoch, without end. max_slots: see PretrainConfig.

    All ranks have equally many steps; in an epoch's last ones a rank may have fewer patients, or none.
    """
    for batch, key, after in _batches(reader, seed, rank, position):
        prepared = maker.prepare(batch, key)
        blocks = StepBlocks(prepared.blocks, max_slots)
        yield StepInput(
            blocks=blocks,
            num_patients=prepared.patients.num_patients,
            num_codes=prepared.patients.num_codes,
            num_masked=len(prepared.codes.masked),
            num_slots=blocks.num_slots,
            num_cut=prepared.num_cut,
            position=after,
        )


def step_patients(
    reader: ShardReader, seed: int, rank: int, position: Position
) -> tuple[RaggedBatch, np.uint64]:
    """One rank's patients of the step that comes after a position, read anew, and the key of their masks."""
    batches = _batches(reader, seed, rank, position)
    batch, key, _ = next(batches)
    batches.close()
    return batch, key


def _batches(
    reader: ShardReader, seed: int, rank: int, position: Position
) -> Generator[tuple[RaggedBatch, np.uint64, Position]]:
    """Patients, key of the masks and position after it, of each step from a position on."""
    while True:
        if position.is_done:
            position = Position.start(
                position.epoch + 1, sum(reader.shard_rows), position.world_size, position.batch_size
            )
        order = Order.of_epoch(reader.shard_rows, seed, position.epoch)
        key = training_key(seed, position.epoch)
        batches = stream_batches(reader, order, position.share_of(rank), position.batch_size)
        while not position.is_done:
            position = position.after_step()
            yield next(batches, None) or empty_batch(), key, position
