"""Diagnoses that grew, in the hands of the task that has a partition of patients: who has new rows, who has
certain codes, and the rows that follow from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa

from schemas.diagnoses import CODE, DIAGNOSES, PATIENT_ID
from schemas.rules import check_diagnoses
from spark_jobs.files.diagnosis_files import KEYS, Wanted, are_in, read_rows, read_wanted
from spark_jobs.patient_partitions import IS_NEW, Here, in_order_of_patients


class GrownRows:
    """One partition of patient_partitions with new files. where: for messages."""

    def __init__(self, here: Here, where: str) -> None:
        self._here, self._where = here, where

    def new_patients(self) -> frozenset[str]:
        """Those with new rows."""
        sent = self._here.sent
        ids = [] if sent is None else [sent[PATIENT_ID].filter(sent[IS_NEW])]
        new_files = [file for file in self._here.files if file.is_new]
        for file in new_files:
            ids += [rows[PATIENT_ID] for rows in read_rows(file.listed, (PATIENT_ID,))]
        return frozenset(pa.chunked_array(ids, pa.string()).unique().to_pylist())

    def patients_with(self, codes: Collection[str]) -> frozenset[str]:
        """Those with any of the codes, a set."""
        found = self._wanted((PATIENT_ID,), lambda rows: are_in(rows[CODE], codes))
        ids = [rows[PATIENT_ID] for rows in found]
        return frozenset(pa.chunked_array(ids, pa.string()).unique().to_pylist())

    def rows(self, columns: Sequence[str], wanted: Wanted) -> pa.RecordBatch:
        """The rows that are wanted, in order of patients, with IS_NEW."""
        found = list(self._wanted(columns, wanted))
        if not found:
            fields = [DIAGNOSES.arrow.field(name) for name in columns]
            return pa.RecordBatch.from_pylist([], pa.schema([*fields, pa.field(IS_NEW, pa.bool_())]))
        rows = in_order_of_patients(found)
        check_diagnoses(rows, self._where)
        return rows

    def _wanted(self, columns: Sequence[str], wanted: Wanted) -> Iterator[pa.RecordBatch]:
        for file in self._here.files:
            for rows in read_wanted(file.listed, columns, wanted):
                yield rows.append_column(IS_NEW, pa.repeat(file.is_new, rows.num_rows))
        sent = self._here.sent
        if sent is not None:
            keys = pa.RecordBatch.from_pydict({name: sent[name].dictionary_encode() for name in KEYS})
            yield sent.select([*columns, IS_NEW]).filter(pa.array(wanted(keys)))
