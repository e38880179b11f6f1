"""Blocks as Arrow record batches of the contract's columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.claims import CLAIMS, PATIENTS
from spark_jobs.generator.block import Block
from spark_jobs.generator.code_table import VERSIONS, CodeTable
from spark_jobs.generator.population import Patients

PATIENT_DIGITS = 8
CLAIM_DIGITS = 4  # of a claim's number within its patient
MOST_PATIENTS = 10**PATIENT_DIGITS


def claims_batch(block: Block, table: CodeTable) -> pa.RecordBatch:
    """The block's claims, in order of patient and admission."""
    visits = block.visits
    patient = block.first_patient + visits.patient
    claim = np.arange(len(visits)) - np.searchsorted(visits.patient, visits.patient) + 1
    codes = pa.array(table.codes, pa.string())
    columns = [
        _identifiers(b"C", patient, PATIENT_DIGITS, claim),
        _identifiers(b"P", patient, PATIENT_DIGITS),
        pa.array(["outpatient", "inpatient"]).take(pa.array(visits.inpatient.astype(np.int8))),
        _dates(visits.admit_day),
        _dates(visits.discharge_day),
        pa.array(np.array(VERSIONS, np.int32)[block.system]),
        *(codes.take(pa.array(numbers, mask=numbers < 0)) for numbers in block.diagnoses.T),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CLAIMS.arrow)


def patients_batch(first_patient: int, patients: Patients) -> pa.RecordBatch:
    """The block's patients, in order."""
    columns = [
        _identifiers(b"P", first_patient + np.arange(len(patients)), PATIENT_DIGITS),
        pa.array(patients.birth_year.astype(np.int32)),
        pa.array(["M", "F"]).take(pa.array(patients.female.astype(np.int8))),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PATIENTS.arrow)


def _dates(days: np.ndarray) -> pa.Array:
    return pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32())


def _identifiers(
    letter: bytes, numbers: np.ndarray, digits: int, suffix: np.ndarray | None = None
) -> pa.Array:
    """`P00000001`, or with a suffix `C00000001-0001`, from 1, without a Python object for each."""
    parts = [np.frombuffer(letter, np.uint8)[None].repeat(len(numbers), 0), _digits(numbers + 1, digits)]
    if suffix is not None:
        parts += [np.frombuffer(b"-", np.uint8)[None].repeat(len(numbers), 0), _digits(suffix, CLAIM_DIGITS)]
    letters = np.ascontiguousarray(np.concatenate(parts, axis=1))
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * letters.shape[1]
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(letters))


def _digits(numbers: np.ndarray, digits: int) -> np.ndarray:
    """(N, digits) ASCII decimal digits."""
    powers = 10 ** np.arange(digits - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
