"""Diagnoses → one row a patient, visits in order, in the patient's split.

It runs where the files are written (part_files.Task): a patient's diagnoses are read, put together and
written without going through the cluster again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.diagnoses import ADMIT_DATE, DIAGNOSES, DISCHARGE_DATE, ORDER_COLUMNS
from schemas.diagnoses import VISIT_ID as SOURCE_VISIT
from schemas.rules import check_sequences
from schemas.sequences import BY_OVERLAP, BY_VISIT_ID, KIND, SEQUENCES, SPLIT, SPLITS
from schemas.vocabulary import SpecialTokens
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.codes import numbers_of
from spark_jobs.transforms.parse import MISSING, days
from spark_jobs.transforms.sorting import sorted_by
from spark_jobs.transforms.splits import split_of
from spark_jobs.transforms.visit_rules import numbered
from spark_jobs.transforms.visits import (
    ADMIT,
    DISCHARGE,
    PATIENT_ID,
    TOKEN_ID,
    UNKNOWN,
    VISIT_ID,
    assemble,
    begins_text_run,
)

Ints = npt.NDArray[np.int64]


def columns_needed(visits: str) -> tuple[str, ...]:
    """Of diagnoses, by the rule for visits: one of schemas.sequences.VISIT_RULES."""
    unused = () if visits == BY_VISIT_ID else (SOURCE_VISIT,)
    return tuple(name for name in DIAGNOSES.column_names if name not in unused)


class Codebook:
    """A vocabulary's codes: the id of each, and its place in the order of codes, which decides ties."""

    def __init__(self, tokens: Sequence[str], special: SpecialTokens) -> None:
        codes = sorted((token, number) for number, token in enumerate(tokens) if number not in special.ids)
        self._place = {code: place for place, (code, _) in enumerate(codes)}
        # The last of each is for codes that are not in the vocabulary.
        self._ids = np.array([*(number for _, number in codes), UNKNOWN], np.int64)

    def look_up(self, codes: pa.Array) -> tuple[Ints, Ints]:
        """((N,) place of each code, unknown ones last; (N,) its id, or UNKNOWN)."""
        encoded = codes.dictionary_encode()
        last = len(self._place)
        places = np.array([self._place.get(code, last) for code in encoded.dictionary.to_pylist()], np.int64)
        place = places[numbers_of(encoded)]
        return place, self._ids[place]


class AssembleSequences:
    """The task. Its output is KIND, in folders `split=…`; it counts what a sequences manifest does.

    unk: the id for codes that are not in the vocabulary; None: they are left out. visits: which rows are one
    visit, one of schemas.sequences.VISIT_RULES. A patient of fewer than min_codes codes is left out. where:
    for messages.
    """

    def __init__(
        self,
        patient_rows: PatientRows,
        codebook: Codebook,
        unk: int | None,
        salt: str,
        min_codes: int,
        visits: str,
        where: str,
    ) -> None:
        self.patient_rows, self.codebook, self.unk = patient_rows, codebook, unk
        self.salt, self.min_codes, self.visits, self.where = salt, min_codes, visits, where
        self.counts: Counter[str] = Counter()

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        for rows in self.patient_rows.batches(batches):
            every = assemble(self._in_order(rows), self.unk, self.visits)
            kept = self._counted(every)
            check_sequences(kept, self.where)
            split = split_of(self.salt, kept[PATIENT_ID])
            for number, name in enumerate(SPLITS):
                yield KIND, f"{SPLIT}={name}", kept.filter(pa.array(split == number))

    def count(self, rows: pa.RecordBatch) -> None:
        """Only count, what `pieces` would of such a batch."""
        if rows.num_rows:
            self._counted(assemble(self._in_order(rows), self.unk, self.visits))

    def _in_order(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Whole patients' diagnoses as transforms.visits.assemble wants them: numbers, sorted."""
        patient = numbered(begins_text_run(rows[PATIENT_ID]))
        discharge, admit = days(rows[DISCHARGE_DATE]), days(rows[ADMIT_DATE])
        place, token = self.codebook.look_up(rows["code"])
        orders = [rows[name].cast(pa.int64()).fill_null(MISSING).to_numpy() for name in ORDER_COLUMNS]  # last
        columns = {}
        if self.visits == BY_VISIT_ID:
            visit_ids = rows[SOURCE_VISIT].fill_null("")
            visit = pc.rank(visit_ids, tiebreaker="dense").to_numpy().astype(np.int64)
            nameless = pc.equal(visit_ids, "").to_numpy(zero_copy_only=False)
            self.counts["rows_without_visit_id"] += int(np.count_nonzero(nameless))
            of_visit = [visit, np.where(nameless, discharge, 0)]
        else:
            of_visit = [] if self.visits == BY_OVERLAP else [discharge]
        order = sorted_by(patient, *of_visit, *orders, place)
        if self.visits == BY_VISIT_ID:
            columns[VISIT_ID] = visit_ids.take(order)
        columns |= {ADMIT: admit[order], DISCHARGE: discharge[order], TOKEN_ID: token[order]}
        return pa.RecordBatch.from_pydict({PATIENT_ID: rows[PATIENT_ID], **columns})  # in order as they are

    def _counted(self, every: pa.RecordBatch) -> pa.RecordBatch:
        """The contract's columns of the patients with enough codes."""
        codes, visits = (pc.list_value_length(every[name]) for name in ("token_ids", "los_days"))
        enough = pc.greater_equal(codes, self.min_codes)
        kept = every.filter(enough)
        codes, visits = codes.filter(enough), visits.filter(enough)
        sums = {
            "rows_in": every["num_rows"],
            "rows_of_unknown_codes": every["num_unknown"],
            "patients_with_prolonged_los": kept["prolonged_los"],
            "visits": visits,
            "stays_merged": kept["num_merged"],
            "codes": codes,
        }
        self.counts.update({name: pc.sum(column).as_py() or 0 for name, column in sums.items()})
        self.counts["patients_in"] += every.num_rows
        self.counts["patients_with_too_few_codes"] += every.num_rows - kept.num_rows
        for name, column in (("max_visits", visits), ("max_codes", codes)):
            self.counts[name] = max(self.counts[name], pc.max(column).as_py() or 0)
        return kept.select(SEQUENCES.column_names).cast(SEQUENCES.arrow)
