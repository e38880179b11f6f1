"""Everything between the shards and a training step: order, stream, cut, masks, packed rows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np

from schemas.vocabulary import Vocabulary
from trainer.config import MaskingConfig
from trainer.core.input.batch import MaskedBatch, RaggedBatch
from trainer.core.input.masking import Masker, training_key
from trainer.core.input.order import Order, Position
from trainer.core.input.ragged import cut, empty_batch
from trainer.core.input.slots import PackedBatch
from trainer.core.input.stream import stream_batches
from trainer.readers.base import ShardReader


@dataclass(frozen=True)
class StepInput:
    """One rank's input of one step."""

    packed: PackedBatch
    num_patients: int
    num_codes: int
    num_masked: int
    num_cut: int
    """Patients that had more codes than max_seq_length."""
    position: Position
    """Where the run stands once the step is done."""

    @property
    def num_slots(self) -> int:
        """That the network computes, empty ones included."""
        return self.packed.num_slots


@dataclass(frozen=True)
class BatchMaker:
    """A ragged batch → cut and masked."""

    masker: Masker
    max_seq_length: int

    @classmethod
    def of(cls, config: MaskingConfig, vocabulary: Vocabulary, max_seq_length: int) -> BatchMaker:
        return cls(Masker(config, vocabulary.special, len(vocabulary)), max_seq_length)

    def prepare(self, batch: RaggedBatch, key: np.uint64) -> tuple[MaskedBatch, int]:
        """Also the number of patients that were cut. key: draws the masks."""
        batch, num_cut = cut(batch, self.max_seq_length)
        return self.masker.mask(batch, key), num_cut


def training_input(
    reader: ShardReader,
    maker: BatchMaker,
    seed: int,
    rank: int,
    position: Position,
    pack: Callable[[MaskedBatch], PackedBatch],
) -> Iterator[StepInput]:
    """One rank's steps from a position on, epoch after epoch, without end. pack: see Backend.pack.

    All ranks have equally many steps; in an epoch's last ones a rank may have fewer patients, or none.
    """
    for batch, key, after in _batches(reader, seed, rank, position):
        masked, num_cut = maker.prepare(batch, key)
        yield StepInput(
            packed=pack(masked),
            num_patients=masked.patients.num_patients,
            num_codes=masked.patients.num_codes,
            num_masked=len(masked.masked),
            num_cut=num_cut,
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
