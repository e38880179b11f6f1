"""A stage's rows → counts: by code, month, code system, length of stay, and visits and codes a patient.

One pass: whole patients come in Arrow batches (claims are shuffled by patient first; the files of diagnoses,
sequences and shards hold whole patients), each batch gives its counts from flat NumPy, and one small
aggregation adds them up. Numbers of patients are exact, since a patient is in one batch only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.claims import DIAGNOSIS_COLUMNS
from schemas.codes import ICD9CM, ICD10CM, SEPARATOR
from schemas.diagnoses import ADMIT_DATE, DISCHARGE_DATE, PATIENT_ID
from schemas.profile import LOS_BINS
from schemas.sequences import SEQUENCES
from schemas.shards import SHARDS
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.codes import empty_as_null, normalised_code, numbers_of
from spark_jobs.transforms.parse import days
from spark_jobs.transforms.visit_rules import begins_run, numbered
from spark_jobs.transforms.visits import begins_text_run, whole_patients

# Sections of the counts; `part` is a code system in MONTH, and empty elsewhere.
TOTAL, CODE, MONTH, SYSTEM, LOS, VISITS_EACH, CODES_EACH = (
    "total", "code", "month", "system", "los", "visits each", "codes each",
)  # fmt: skip
COUNTS_DDL = "section string, key string, part string, patients bigint, number bigint"
DIAGNOSIS_COLUMNS_READ = (PATIENT_ID, ADMIT_DATE, DISCHARGE_DATE, "code")
VISIT = "visit"
NO_SYSTEM = "unknown codes"  # [UNK], and what could not be read

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Flat:
    """Some whole patients. V visits of P patients, N entries (codes in visits, as often as they stand there).

    patient, admit, discharge: (V,) of each visit, days since 1970; no dates in shards. visit, code: (N,) of
    each entry; a code is a place in `codes`.
    """

    num_patients: int
    patient: Ints
    admit: Ints | None
    discharge: Ints | None
    visit: Ints
    code: Ints
    codes: Sequence[str]


def count_claims(claims: DataFrame, num_partitions: int) -> DataFrame:
    """Claims, shuffled into so many partitions → counts (COUNTS_DDL); a claim is a visit."""
    version = F.col("icd_version")
    system = F.when(version == 9, ICD9CM).when(version == 10, ICD10CM)
    written = F.explode(F.filter(F.array(*map(_trimmed, DIAGNOSIS_COLUMNS)), lambda code: code.isNotNull()))
    rows = claims.withColumn("written", written).select(
        PATIENT_ID,
        F.xxhash64("claim_id").alias(VISIT),
        ADMIT_DATE,
        DISCHARGE_DATE,
        F.coalesce(normalised_code(system, F.col("written")), F.lit("[malformed]")).alias("code"),
    )
    together = rows.repartition(num_partitions, PATIENT_ID).sortWithinPartitions(PATIENT_ID)
    return _added_up(together, lambda batches: map(_of_claims, whole_patients(batches)))


def _of_claims(rows: pa.RecordBatch) -> Flat:
    return _flat(rows, rows[VISIT].to_numpy())


def _trimmed(name: str) -> Column:
    return empty_as_null(F.col(name))


def count_diagnoses(frame: DataFrame, patient_rows: PatientRows) -> DataFrame:
    """Diagnoses → counts (COUNTS_DDL); a discharge date is a visit, as in sequences.

    frame, patient_rows: of patient_rows.frame_of_patients, with DIAGNOSIS_COLUMNS_READ.
    """
    return _added_up(frame, lambda batches: map(_of_diagnoses, patient_rows.batches(batches)))


def _of_diagnoses(rows: pa.RecordBatch) -> Flat:
    return _flat(rows, days(rows[DISCHARGE_DATE]))


def count_sequences(sequences: DataFrame, tokens: Sequence[str]) -> DataFrame:
    """Sequences (or shards) → counts; tokens: of the ids."""
    names = SEQUENCES.column_names if "los_days" in sequences.columns else SHARDS.column_names
    wanted = [name for name in names if name not in ("patient_id", "prolonged_los", "days_to_next_visit")]
    return _added_up(sequences.select(*wanted), partial(_of_sequences, tokens=tuple(tokens)))


def _added_up(rows: DataFrame, flatten: Callable[[Iterator[pa.RecordBatch]], Iterator[Flat]]) -> DataFrame:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for flat in flatten(batches):
            yield count_patients(flat)

    counted = rows.mapInArrow(count, COUNTS_DDL)
    return counted.groupBy("section", "key", "part").agg(
        F.sum("patients").alias("patients"), F.sum("number").alias("number")
    )


def _flat(rows: pa.RecordBatch, visit: Ints) -> Flat:
    """Whole patients' rows, in order of patients. visit: (N,) any number of each row's visit."""
    patient = numbered(begins_text_run(rows[PATIENT_ID]))
    codes = rows["code"].dictionary_encode()
    columns = (patient, visit, days(rows[ADMIT_DATE]), days(rows[DISCHARGE_DATE]), numbers_of(codes))
    order = np.lexsort((visit, patient))
    patient, visit, admit, discharge, code = (column[order] for column in columns)
    begins = begins_run(patient, visit)
    starts = np.flatnonzero(begins)
    return Flat(
        int(patient[-1]) + 1,
        patient[starts],
        np.minimum.reduceat(admit, starts),
        np.maximum.reduceat(discharge, starts),
        numbered(begins),
        code,
        codes.dictionary.to_pylist(),
    )


def _of_sequences(batches: Iterator[pa.RecordBatch], tokens: Sequence[str]) -> Iterator[Flat]:
    for rows in batches:
        if not rows.num_rows:
            continue
        patient = pc.list_parent_indices(rows["token_ids"]).to_numpy().astype(np.int64)
        number = rows["visit_numbers"].flatten().to_numpy()
        new_visit = np.ones(len(patient), bool)
        new_visit[1:] = (patient[1:] != patient[:-1]) | (number[1:] != number[:-1])
        dates = [None, None]
        if "visit_admit_dates" in rows.schema.names:
            names = ("visit_admit_dates", "visit_discharge_dates")
            dates = [rows[name].flatten().cast(pa.int32()).to_numpy().astype(np.int64) for name in names]
        yield Flat(
            rows.num_rows,
            patient[new_visit],
            *dates,
            np.cumsum(new_visit) - 1,
            rows["token_ids"].flatten().to_numpy().astype(np.int64),
            tokens,
        )


def count_patients(flat: Flat) -> pa.RecordBatch:
    """The counts (COUNTS_DDL) of some whole patients."""
    cells = _Cells(flat.num_patients)
    entry_patient = flat.patient[flat.visit]
    cells.put(TOTAL, ["patients"], ["visits"], [flat.num_patients], [len(flat.patient)])
    cells.put(TOTAL, ["rows"], [""], [flat.num_patients], [len(flat.code)])

    systems, system = _systems(flat)
    cells.count(CODE, flat.code, entry_patient, lambda places: [flat.codes[place] for place in places])
    cells.count(SYSTEM, system, entry_patient, lambda places: [systems[place] for place in places])
    visits_each = np.bincount(flat.patient, minlength=flat.num_patients)
    pairs = np.unique(flat.visit * np.int64(len(flat.codes)) + flat.code)  # a code counts once a visit
    codes_each = np.bincount(flat.patient[pairs // len(flat.codes)], minlength=flat.num_patients)
    everybody = np.arange(flat.num_patients)
    cells.count(VISITS_EACH, visits_each, everybody, _as_text)
    cells.count(CODES_EACH, codes_each, everybody, _as_text)
    if flat.admit is not None and flat.discharge is not None:
        los = np.searchsorted(LOS_BINS, flat.discharge - flat.admit, side="right") - 1
        cells.count(LOS, los, flat.patient, _as_text)
        month = flat.discharge.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)[flat.visit]
        cells.count(MONTH, month, entry_patient, _month_names)
        both = month * len(systems) + system
        cells.count(
            MONTH,
            both,
            entry_patient,
            lambda keys: _month_names(keys // len(systems)),
            lambda keys: [systems[key % len(systems)] for key in keys],
        )
    return cells.batch()


class _Cells:
    """Rows of counts, as they are collected."""

    def __init__(self, num_patients: int) -> None:
        self._num_patients = num_patients
        self._columns: list[list] = [[], [], [], [], []]

    def put(self, section: str, keys: list, parts: list, patients: list, numbers: list) -> None:
        for column, values in zip(
            self._columns, ([section] * len(keys), keys, parts, patients, numbers), strict=True
        ):
            column.extend(values)

    def count(
        self,
        section: str,
        key: Ints,
        patient: Ints,
        name: Callable[[Ints], list[str]],
        part: Callable[[Ints], list[str]] | None = None,
    ) -> None:
        """For each different key: how many entries (N,) have it, and of how many patients they are."""
        keys, place, numbers = np.unique(key, return_inverse=True, return_counts=True)
        pairs = np.unique(place.astype(np.int64) * self._num_patients + patient)
        patients = np.bincount(pairs // self._num_patients, minlength=len(keys))
        parts = part(keys) if part else [""] * len(keys)
        self.put(section, name(keys), parts, patients.tolist(), numbers.tolist())

    def batch(self) -> pa.RecordBatch:
        types = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.int64())
        names = ("section", "key", "part", "patients", "number")
        arrays = [pa.array(values, kind) for values, kind in zip(self._columns, types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, names)


def _systems(flat: Flat) -> tuple[list[str], Ints]:
    """The code systems, and of each entry (N,) the place of its own among them."""
    used, place = np.unique(flat.code, return_inverse=True)
    of_used = [system_of(flat.codes[code]) for code in used]
    systems = sorted(set(of_used))
    numbers = np.array([systems.index(system) for system in of_used], np.int64)
    return systems, numbers[place]


def system_of(token: str) -> str:
    """ICD10CM of `ICD10CM//E11.9`."""
    system, separator, _ = token.partition(SEPARATOR)
    return system if separator else NO_SYSTEM


def _as_text(keys: Ints) -> list[str]:
    return [str(key) for key in keys.tolist()]


def _month_names(months: Ints) -> list[str]:
    return np.datetime_as_string(months.astype("datetime64[M]")).tolist()
