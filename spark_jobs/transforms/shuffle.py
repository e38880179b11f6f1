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

from schemas.rules import check_shards
from schemas.sequences import SPLIT, SPLITS
from schemas.shards import PROLONGED_LOS, TOKEN_IDS, VISIT_NUMBERS

PLACE = "place"
_HASH_BITS = 60
_BIN_BITS = 16  # of the hash: 65,536 bins a split
_LENGTH, _VISITS = "length", "max_visits"

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


def with_place(sequences: DataFrame, seed: int) -> DataFrame:
    numbers = F.array_position(F.array(*map(F.lit, SPLITS)), F.col(SPLIT)) - 1
    hashed = F.xxhash64(F.concat(F.lit(f"{seed}/"), F.col("patient_id")))
    hashed = F.shiftrightunsigned(hashed, 64 - _HASH_BITS)
    return sequences.withColumn(PLACE, F.shiftleft(numbers, _HASH_BITS) + hashed)


def first_places(placed: DataFrame, plan: ShardPlan) -> Ints:
    """The place at which each shard begins.

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


def to_shards(placed: DataFrame, first: Ints) -> DataFrame:
    """The shards' columns, partition k being shard k of the plan, its rows in order of place."""

    def shard_of(places: pa.Array) -> pa.Array:
        return pa.array(np.searchsorted(first, places.to_numpy(), side="right") - 1, pa.int32())

    numbered = placed.withColumn("shard", F.arrow_udf(shard_of, "int")(F.col(PLACE)))
    apart = numbered.repartitionById(len(first), "shard").sortWithinPartitions(PLACE, "patient_id")
    return apart.select(
        TOKEN_IDS, VISIT_NUMBERS, F.col(PROLONGED_LOS).cast("int").alias(PROLONGED_LOS), SPLIT
    )


class WriteFormats:
    """Task (part_files): the rows of to_shards in each format; counts codes and visits a patient by split.

    where: for messages.
    """

    def __init__(self, formats: tuple[str, ...], vocabulary_size: int, where: str) -> None:
        self.formats, self.vocabulary_size, self.where = formats, vocabulary_size, where
        self.counts: Counter[str] = Counter()

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        for batch in batches:
            # A shard is of one split.
            split = batch[SPLIT][0].as_py() if batch.num_rows else ""
            lengths = pc.list_value_length(batch[TOKEN_IDS])
            for found in lengths.value_counts().to_pylist():
                self.counts[f"{_LENGTH}/{split}/{found['values']}"] += found["counts"]
            most = f"{_VISITS}/{split}"
            self.counts[most] = max(self.counts[most], pc.max(batch[VISIT_NUMBERS].flatten()).as_py() or 0)
            rows = batch.drop_columns([SPLIT])
            check_shards(rows, self.where, self.vocabulary_size)
            for file_format in self.formats:
                yield file_format, "", rows


def summarise(counts: Mapping[str, int]) -> dict[str, tuple[dict[int, int], int]]:
    """Split → (codes a patient → patients, most visits of a patient), from what WriteFormats counted."""

    def histogram(split: str) -> dict[int, int]:
        start = f"{_LENGTH}/{split}/"
        found = {int(name.removeprefix(start)): n for name, n in counts.items() if name.startswith(start)}
        return dict(sorted(found.items()))

    return {split: (histogram(split), counts.get(f"{_VISITS}/{split}", 0)) for split in SPLITS}
