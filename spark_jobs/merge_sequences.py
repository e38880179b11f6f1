"""Old sequences with some patients replaced: one task reads, merges and writes a partition's files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from schemas.diagnoses import PATIENT_ID
from schemas.manifest import join
from schemas.sequences import KIND, SEQUENCES, SPLIT, SPLITS
from spark_jobs.new_rows import IS_NEW
from spark_jobs.part_files import MAX
from spark_jobs.publish import Published
from spark_jobs.storage import Folder
from spark_jobs.transforms.sequences import AssembleSequences


class MergeSequences:
    """A part_files.Task. Its partition: all diagnoses of the patients who have changed, with IS_NEW.

    now: assembles them all; was: those that are not new, as the old sequences did. files: partition → split →
    its old file. counts: what the new sequences have more than the old, and the greatest of all (max_…).
    """

    def __init__(
        self, now: AssembleSequences, was: AssembleSequences, files: Mapping[int, Mapping[str, str]]
    ) -> None:
        self.now, self.was, self.files = now, was, dict(files)
        self.counts: Counter[str] = Counter()

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        context = TaskContext.get()
        assert context
        rows = [batch for batch in batches if batch.num_rows]
        changed = pa.chunked_array([batch[PATIENT_ID] for batch in rows], pa.string()).unique()
        made = defaultdict(list)
        for _, folder, patients in self.now.pieces(iter(rows)):
            made[folder].append(patients)
        for _ in self.was.pieces(batch.filter(pc.invert(batch[IS_NEW])) for batch in rows):
            pass
        self._count()
        old = self.files.get(context.partitionId(), {})
        for split in SPLITS:
            folder = f"{SPLIT}={split}"
            kept = _read(old[split]) if split in old else SEQUENCES.arrow.empty_table()
            for patients in self._merged(kept, changed, made[folder]):
                yield KIND, folder, patients

    def _count(self) -> None:
        for sign, of in ((1, self.now.counts), (-1, self.was.counts)):
            self.counts.update({name: sign * n for name, n in of.items() if not name.startswith(MAX)})

    def _merged(
        self, old: pa.Table, changed: pa.Array, made: list[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """One file's patients, in order."""
        kept = old.filter(pc.invert(pc.is_in(old[PATIENT_ID], changed)))
        merged = pa.concat_tables([kept, pa.Table.from_batches(made, SEQUENCES.arrow)]).sort_by(PATIENT_ID)
        for name, lists in (("max_visits", merged["los_days"]), ("max_codes", merged["token_ids"])):
            longest = pc.max(pc.list_value_length(lists)).as_py() or 0
            self.counts[name] = max(self.counts[name], longest)
        yield from merged.to_batches()


def files_by_partition(spark: SparkSession, old: Published, num_partitions: int) -> dict[int, dict[str, str]]:
    """Partition → split → its file, for MergeSequences. A file's first patient tells its partition."""
    root = Folder(spark, old.uri).qualified
    paths = [file.path for file in old.manifest.files]
    firsts = [(number, _first_patient(join(root, path))) for number, path in enumerate(paths)]
    partition = F.pmod(
        F.hash(PATIENT_ID), F.lit(num_partitions)
    )  # as repartition(num_partitions, PATIENT_ID)
    found: dict[int, dict[str, str]] = defaultdict(dict)
    numbered = spark.createDataFrame(firsts, f"file int, {PATIENT_ID} string").select("file", partition)
    for number, of in numbered.collect():
        split = paths[number].partition("/")[0].removeprefix(f"{SPLIT}=")
        assert split not in found[of], "two files of one partition"
        found[of][split] = join(root, paths[number])
    return dict(found)


def _first_patient(uri: str) -> str:
    with fsspec.open(uri, "rb") as stream:
        batch = next(pq.ParquetFile(stream).iter_batches(1, columns=[PATIENT_ID]))
        return batch[PATIENT_ID][0].as_py()


def _read(uri: str) -> pa.Table:
    with fsspec.open(uri, "rb") as stream:
        return pq.ParquetFile(stream).read(list(SEQUENCES.column_names)).cast(SEQUENCES.arrow)
