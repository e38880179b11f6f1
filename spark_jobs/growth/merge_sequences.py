"""Old sequences with some patients replaced: one task reads, merges and writes a partition's files."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.diagnoses import PATIENT_ID
from schemas.errors import ContractError
from schemas.manifest import join
from schemas.sequences import KIND, SEQUENCES, SPLIT, SPLITS
from schemas.shards import PARQUET, part_name
from spark_jobs.files.diagnosis_files import are_in
from spark_jobs.files.part_files import MAX, this_partition
from spark_jobs.files.sequence_files import SequenceFile
from spark_jobs.growth.grown_rows import GrownRows
from spark_jobs.patient_partitions import IS_NEW, PatientPartitions
from spark_jobs.transforms.layout import partitions_of_patients
from spark_jobs.transforms.sequences import AssembleSequences


@dataclass(frozen=True)
class OldFiles:
    """Published sequences. uri: for messages; files: by their paths."""

    uri: str
    files: Mapping[str, SequenceFile]
    num_partitions: int

    def read(self, folder: str, partition: int) -> pa.Table:
        """The patients of a partition in `folder`, in order.

        Raises ContractError for a missing column and for patients of another partition.
        """
        path = join(folder, part_name(partition, PARQUET))
        if path not in self.files:
            return SEQUENCES.arrow.empty_table()
        batches = self.files[path].read(SEQUENCES.column_names)
        found = pa.Table.from_batches(batches, SEQUENCES.arrow)
        first = found[PATIENT_ID].slice(0, 1).combine_chunks()
        if partitions_of_patients(first, self.num_partitions).tolist() != [partition]:
            raise ContractError(
                f"{path} in {self.uri} has patients of another part",
                f"a patient's part is a hash of its id modulo {self.num_partitions}",
                "build the sequences anew, without --refresh (REFRESH)",
            )
        return found


class MergeSequences:
    """A part_files.Task. Its partitions: of patient_partitions, with new files.

    now: assembles patients who have changed, was: the same as the old sequences did. columns: of diagnoses.
    appended: codes that are in the vocabulary now. counts: what the new sequences have more than the old, and
    the greatest of all (max_…).
    """

    def __init__(
        self,
        now: AssembleSequences,
        was: AssembleSequences,
        partitions: PatientPartitions,
        columns: Sequence[str],
        appended: Collection[str],
        old: OldFiles,
    ) -> None:
        self.now, self.was, self.partitions, self.columns = now, was, partitions, columns
        self.appended, self.old = appended, old
        self.counts: Counter[str] = Counter()

    def pieces(self, partition: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        grown = GrownRows(self.partitions.here(partition), self.now.where)
        changed = grown.new_patients()
        if self.appended:
            changed |= grown.patients_with(self.appended)
        rows = grown.rows(self.columns, lambda rows: are_in(rows[PATIENT_ID], changed))
        made = defaultdict(list)
        for _, folder, patients in self.now.pieces(iter([rows])):
            made[folder].append(patients)
        self.was.count(rows.filter(pc.invert(rows[IS_NEW])))
        self._count()
        for split in SPLITS:
            folder = f"{SPLIT}={split}"
            old = self.old.read(folder, this_partition())
            new = pa.Table.from_batches(made[folder], SEQUENCES.arrow)
            for patients in merged(old, new, changed).to_batches():
                self._count_longest(patients)
                yield KIND, folder, patients

    def _count(self) -> None:
        for sign, of in ((1, self.now.counts), (-1, self.was.counts)):
            self.counts.update({name: sign * n for name, n in of.items() if not name.startswith(MAX)})

    def _count_longest(self, patients: pa.RecordBatch) -> None:
        for name, lists in (("max_visits", patients["los_days"]), ("max_codes", patients["token_ids"])):
            longest = pc.max(pc.list_value_length(lists)).as_py() or 0
            self.counts[name] = max(self.counts[name], longest)


def merged(old: pa.Table, new: pa.Table, changed: Collection[str]) -> pa.Table:
    """Both in order of patients, of the old those who have not changed. old, new: each in that order."""
    before = old[PATIENT_ID].to_pylist()
    kept = np.flatnonzero([patient not in changed for patient in before])
    places = np.array([bisect_left(before, patient) for patient in new[PATIENT_ID].to_pylist()], np.int64)
    # An old patient at place k goes by 2k + 1: a new one goes before the old one whose place it would take.
    order = np.argsort(np.concatenate([2 * kept + 1, 2 * places]), kind="stable")
    rows = np.concatenate([kept, old.num_rows + np.arange(new.num_rows)])[order]
    return pa.concat_tables([old, new]).combine_chunks().take(pa.array(rows))
