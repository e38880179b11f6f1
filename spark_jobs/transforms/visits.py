"""From patients' sorted diagnosis rows to visits and sequences, for many patients at once, in flat NumPy.

Semantics (Med-BERT's): rows of one discharge date are ONE visit, its admission the earliest of them; visits
in order of discharge, from 1; a code repeated inside a visit counts once, at its first place; length of
stay = discharge − admission; days to the next visit = next admission − this discharge, 0 for the last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.sequences import PROLONGED_LOS_DAYS

UNKNOWN = -1  # token id of a row whose code has no id
PATIENT_ID, ADMIT, DISCHARGE, TOKEN_ID = "patient_id", "admit", "discharge", "token_id"

Ints = npt.NDArray[np.int64]


def assemble_patients(batches: Iterator[pa.RecordBatch], unk: int | None) -> Iterator[pa.RecordBatch]:
    """Rows (patient_id, admit, discharge, token_id) → one row a patient; see `assemble`.

    Rows come sorted by patient, discharge and order in the visit. A patient's rows may go on over several
    batches. Memory: one batch, or the largest patient.
    """
    for rows in whole_patients(batches):
        yield assemble(rows, unk)


def whole_patients(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut a sorted stream anew, so that no patient is split."""
    held: list[pa.RecordBatch] = []  # of the patient whom the stream is at
    for batch in batches:
        if not batch.num_rows:
            continue
        ids = batch[PATIENT_ID]
        cut = pc.index(ids, ids[-1]).as_py()
        if cut == 0 and held and held[-1][PATIENT_ID][-1] == ids[0]:
            held.append(batch)
            continue
        if cut or held:
            yield pa.concat_batches([*held, batch.slice(0, cut)])
        held = [batch.slice(cut)]
    if held:
        yield pa.concat_batches(held)


def assemble(rows: pa.RecordBatch, unk: int | None) -> pa.RecordBatch:
    """Sequences of whole patients, in their order: schemas.sequences' columns, num_rows and num_unknown.

    admit and discharge: days since 1970. unk: the id for rows with token_id UNKNOWN; if None, they are left
    out, as though they were not there, and counted all the same.
    """
    ids = rows[PATIENT_ID]
    new_patient = np.ones(len(ids), bool)
    new_patient[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    patients = ids.filter(pa.array(new_patient))
    num_patients = len(patients)
    patient = np.cumsum(new_patient) - 1  # of each row
    num_rows = np.bincount(patient, minlength=num_patients)

    admit, discharge, token = (rows[name].to_numpy() for name in (ADMIT, DISCHARGE, TOKEN_ID))
    unknown = token == UNKNOWN
    num_unknown = np.bincount(patient[unknown], minlength=num_patients)
    if unk is None:
        patient, admit, discharge, token = (column[~unknown] for column in (patient, admit, discharge, token))
    else:
        token = np.where(unknown, unk, token)

    new_visit = np.ones(len(patient), bool)
    new_visit[1:] = (patient[1:] != patient[:-1]) | (discharge[1:] != discharge[:-1])
    visit = np.cumsum(new_visit) - 1  # of each row
    starts = np.flatnonzero(new_visit)
    visit_patient = patient[starts]
    num_visits = np.bincount(visit_patient, minlength=num_patients)
    visit_discharge = discharge[starts]
    visit_admit = np.minimum.reduceat(admit, starts) if len(starts) else admit
    los = visit_discharge - visit_admit
    to_next = np.zeros_like(los)
    to_next[:-1] = np.where(
        visit_patient[1:] == visit_patient[:-1], visit_admit[1:] - visit_discharge[:-1], 0
    )
    number = np.arange(len(starts)) - _offsets(num_visits)[visit_patient] + 1  # of each visit
    longest = np.zeros(num_patients, np.int64)
    np.maximum.at(longest, visit_patient, los)

    first = _first_of_each(visit, token)
    num_codes = np.bincount(patient[first], minlength=num_patients)
    dates = pa.date32()
    return pa.RecordBatch.from_pydict(
        {
            PATIENT_ID: patients,
            "token_ids": _lists(num_codes, token[first]),
            "visit_numbers": _lists(num_codes, number[visit[first]]),
            "visit_admit_dates": _lists(num_visits, visit_admit, dates),
            "visit_discharge_dates": _lists(num_visits, visit_discharge, dates),
            "los_days": _lists(num_visits, los),
            "days_to_next_visit": _lists(num_visits, to_next),
            "prolonged_los": pa.array(longest > PROLONGED_LOS_DAYS),
            "num_rows": pa.array(num_rows),
            "num_unknown": pa.array(num_unknown),
        }
    )


def _first_of_each(visit: Ints, token: Ints) -> Ints:
    """Rows, in their order, that are the first of their (visit, token)."""
    pair = visit * (np.int64(token.max(initial=0)) + 1) + token
    order = np.argsort(pair, kind="stable")
    ordered = pair[order]
    first = np.ones(len(pair), bool)
    first[order[1:]] = ordered[1:] != ordered[:-1]
    return np.flatnonzero(first)


def _offsets(lengths: Ints) -> Ints:
    """(P + 1,) where each list starts in the flat values."""
    return np.concatenate([[0], np.cumsum(lengths)])


def _lists(lengths: Ints, values: Ints, item: pa.DataType = pa.int32()) -> pa.ListArray:  # noqa: B008
    flat = pa.array(values.astype(np.int32), pa.int32()).cast(item)
    return pa.ListArray.from_arrays(pa.array(_offsets(lengths), pa.int32()), flat)
