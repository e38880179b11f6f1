"""Sequences → shards in a seeded random order: even sizes, the same rows in the same order on any cluster.

A patient's place is a number: the split's number first, then XXH64 of `seed/patient_id`. All splits thus
lie on one line, each in random order, and a shard is a stretch of it. The places where shards begin are
exact order statistics, found by counting, without a sort.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.diagnoses import PATIENT_ID
from schemas.rules import check_shards
from schemas.sequences import SPLITS
from schemas.shards import PROLONGED_LOS, TOKEN_IDS, VISIT_NUMBERS
from spark_jobs.files.part_files import this_partition
from spark_jobs.transforms.hashing import xxh64
from spark_jobs.transforms.scattering import gather, scatter

PLACE = "place"
_HASH_BITS = 60
_BIN_BITS = 16  # of the hash: 65,536 bins a split
_LENGTH, _VISITS = "length", "max_visits"
SHARD_COLUMNS = (PATIENT_ID, TOKEN_IDS, VISIT_NUMBERS, PROLONGED_LOS)
_ROWS_AT_ONCE = 10_000

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShardPlan:
    """shards: (split, number in it) of each, in order of place. starts: rank of each one's first row."""

    shards: tuple[tuple[str, int], ...]
    starts: Ints


def plan_shards(patients: Mapping[str, int], rows_per_shard: int, min_shards: int) -> ShardPlan:
    """As few shards a split as hold at most rows_per_shard patients, but min_shards if there are patients.

    Sizes in a split differ by 1 at most. A split without patients has no shard.
    """
    shards: list[tuple[str, int]] = []
    starts: list[Ints] = [np.empty(0, np.int64)]
    before = 0
    for split in SPLITS:
        rows = patients[split]
        count = max(-(-rows // rows_per_shard), min(min_shards, rows))
        shards += [(split, number) for number in range(count)]
        starts.append(before + np.arange(count) * rows // max(count, 1))
        before += rows
    return ShardPlan(tuple(shards), np.concatenate(starts))


def places_of(patients: pa.Array, split: str, seed: int) -> Ints:
    """(N,) of patients of one split, by their ids."""
    hashed = xxh64(pc.binary_join_element_wise(f"{seed}/", patients, "")).view(np.uint64)
    numbers = np.int64(SPLITS.index(split)) << _HASH_BITS
    return numbers + (hashed >> np.uint64(64 - _HASH_BITS)).view(np.int64)


def first_places(placed: DataFrame, plan: ShardPlan) -> Ints:
    """The place at which each shard begins. placed: PLACE of every patient.

    Places are counted in bins; only the bins in which a shard begins are then brought to the driver.
    """
    shift = _HASH_BITS - _BIN_BITS
    # Read twice, so kept: 8 bytes a patient.
    bins = placed.select(PLACE, F.shiftright(PLACE, shift).alias("bin")).persist()
    counted = bins.groupBy("bin").count().toArrow().sort_by("bin")
    ends = np.cumsum(counted["count"].to_numpy())
    holding = np.searchsorted(ends, plan.starts, side="right")  # the bin of each shard's first row
    brought, which = np.unique(holding, return_inverse=True)
    numbers = counted["bin"].to_numpy()[brought]
    places = np.sort(
        bins.where(F.col("bin").isin(numbers.tolist())).select(PLACE).toArrow()[PLACE].to_numpy()
    )
    bins.unpersist()
    before = np.concatenate([[0], ends])[brought]  # rows before each of those bins, on the whole line
    here = np.searchsorted(places >> shift, numbers)  # and among the places brought here
    return places[here[which] + plan.starts - before[which]]


def to_shards(rows: pa.RecordBatch, places: Ints, first: Ints) -> Iterator[pa.RecordBatch]:
    """Pieces (scattering) for each shard's partition. rows: with SHARD_COLUMNS. first: of first_places."""
    placed = rows.append_column(PLACE, pa.array(places))
    yield from scatter(placed, np.searchsorted(first, places, side="right") - 1)


class WriteFormats:
    """Task (part_files): the rows of each shard in each format; counts codes and visits a patient by split.

    Its partitions: the pieces of a shard. splits: of each shard. where: for messages.
    """

    def __init__(
        self, formats: tuple[str, ...], splits: tuple[str, ...], vocabulary_size: int, where: str
    ) -> None:
        self.formats, self.splits = formats, splits
        self.vocabulary_size, self.where = vocabulary_size, where
        self.counts: Counter[str] = Counter()

    def pieces(self, partition: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        found = gather(partition)
        if found is None:
            return
        split = self.splits[this_partition()]
        rows = in_order(found)
        for start in range(0, rows.num_rows, _ROWS_AT_ONCE):
            batch = rows.slice(start, _ROWS_AT_ONCE)
            self._count(batch, split)
            check_shards(batch, self.where, self.vocabulary_size)
            for file_format in self.formats:
                yield file_format, "", batch

    def _count(self, batch: pa.RecordBatch, split: str) -> None:
        for found in pc.list_value_length(batch[TOKEN_IDS]).value_counts().to_pylist():
            self.counts[f"{_LENGTH}/{split}/{found['values']}"] += found["counts"]
        most = f"{_VISITS}/{split}"
        self.counts[most] = max(self.counts[most], pc.max(batch[VISIT_NUMBERS].flatten()).as_py() or 0)


def in_order(rows: pa.RecordBatch) -> pa.RecordBatch:
    """A shard's pieces → its rows by place, with the shards' columns."""
    rows = rows.sort_by([(PLACE, "ascending"), (PATIENT_ID, "ascending")])
    stays = rows[PROLONGED_LOS].cast(pa.int32())
    return pa.RecordBatch.from_arrays(
        [rows[TOKEN_IDS], rows[VISIT_NUMBERS], stays], names=[TOKEN_IDS, VISIT_NUMBERS, PROLONGED_LOS]
    )


def summarise(counts: Mapping[str, int]) -> dict[str, tuple[dict[int, int], int]]:
    """Split → (codes a patient → patients, most visits of a patient), from what WriteFormats counted."""

    def histogram(split: str) -> dict[int, int]:
        start = f"{_LENGTH}/{split}/"
        found = {int(name.removeprefix(start)): n for name, n in counts.items() if name.startswith(start)}
        return dict(sorted(found.items()))

    return {split: (histogram(split), counts.get(f"{_VISITS}/{split}", 0)) for split in SPLITS}
