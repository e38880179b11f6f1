"""From patients' sorted diagnosis rows to visits and sequences, for many patients at once, in flat NumPy.

Which rows are one visit is a rule (transforms.visit_rules); Med-BERT's: those of one discharge date. The
visit's admission is the earliest of its rows, its discharge the latest; visits in order of discharge, then
admission, from 1; a code repeated inside a visit counts once, at its first place; length of stay =
discharge − admission; days to the next visit = next admission − this discharge, 0 for the last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.sequences import BY_DISCHARGE_DATE, BY_VISIT_ID, PROLONGED_LOS_DAYS
from spark_jobs.transforms.visit_rules import VISIT_OF, Flags, Ints, begins_run, numbered

UNKNOWN = -1  # token id of a row whose code has no id
PATIENT_ID, ADMIT, DISCHARGE, TOKEN_ID = "patient_id", "admit", "discharge", "token_id"
VISIT_ID = "visit_id"  # empty for none


def whole_patients(batches: Iterator[pa.RecordBatch], patient: str = PATIENT_ID) -> Iterator[pa.RecordBatch]:
    """Cut a stream that is sorted by `patient`, without nulls, anew, so that no patient is split."""
    held: list[pa.RecordBatch] = []  # of the patient whom the stream is at
    for batch in batches:
        if not batch.num_rows:
            continue
        ids = batch[patient]
        cut = pc.index(ids, ids[-1]).as_py()
        if cut == 0 and held and held[-1][patient][-1] == ids[0]:
            held.append(batch)
            continue
        if cut or held:
            yield pa.concat_batches([*held, batch.slice(0, cut)])
        held = [batch.slice(cut)]
    if held:
        yield pa.concat_batches(held)


def assemble(rows: pa.RecordBatch, unk: int | None, visits: str = BY_DISCHARGE_DATE) -> pa.RecordBatch:
    """Sequences of whole patients, in their order: schemas.sequences' columns, and what is counted.

    rows: patient_id, admit and discharge (days since 1970), token_id; for visits by visit_id, that too. They
    are sorted by patient, then discharge (discharge_date), or visit_id and, where it is empty, discharge
    (visit_id), or nothing (overlap), then by their order in the visit.
    unk: the id for rows with token_id UNKNOWN; if None, they are left out, as though they were not there, and
    counted all the same. visits: one of schemas.sequences.VISIT_RULES.

    Counted for each patient: num_rows; num_unknown of them; num_merged: stays (different admission or
    discharge) that are one visit with another.
    """
    ids = rows[PATIENT_ID]
    new_patient = begins_text_run(ids)
    patients = ids.filter(pa.array(new_patient))
    num_patients = len(patients)
    patient = numbered(new_patient)  # of each row
    num_rows = np.bincount(patient, minlength=num_patients)

    admit, discharge, token = (rows[name].to_numpy() for name in (ADMIT, DISCHARGE, TOKEN_ID))
    source = _source_visits(rows[VISIT_ID], patient, discharge) if visits == BY_VISIT_ID else patient
    unknown = token == UNKNOWN
    num_unknown = np.bincount(patient[unknown], minlength=num_patients)
    columns = (patient, admit, discharge, source, token)
    if unk is None:
        columns = tuple(column[~unknown] for column in columns)
    else:
        columns = (*columns[:-1], np.where(unknown, unk, token))

    visit = VISIT_OF[visits](*columns[:-1])  # of each row
    if visits != BY_DISCHARGE_DATE:
        order = np.argsort(visit, kind="stable")
        columns, visit = tuple(column[order] for column in columns), visit[order]
    patient, admit, discharge, source, token = columns
    starts = np.flatnonzero(begins_run(visit))
    visit_patient = patient[starts]
    num_visits = np.bincount(visit_patient, minlength=num_patients)
    visit_discharge = np.maximum.reduceat(discharge, starts) if len(starts) else discharge
    visit_admit = np.minimum.reduceat(admit, starts) if len(starts) else admit
    merged = _stays_beyond_the_first(visit, starts, admit, discharge)
    num_merged = np.bincount(visit_patient[merged], minlength=num_patients)
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
            "num_merged": pa.array(num_merged),
        }
    )


def begins_text_run(column: pa.Array) -> Flags:
    """As visit_rules.begins_run, for one column of text without nulls."""
    first = np.ones(len(column), bool)
    first[1:] = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return first


def _source_visits(visit_ids: pa.Array, patient: Ints, discharge: Ints) -> Ints:
    """A number for the source's visit of each row: its id, or its discharge where that is empty."""
    has_no_id = pc.equal(visit_ids, "").to_numpy(zero_copy_only=False)
    return numbered(begins_text_run(visit_ids) | begins_run(patient, np.where(has_no_id, discharge, 0)))


def _stays_beyond_the_first(visit: Ints, starts: Ints, admit: Ints, discharge: Ints) -> Ints:
    """The visit, a number from 0, of each stay that is not the first of its visit, in no order."""
    first = starts[visit]
    other = (admit != admit[first]) | (discharge != discharge[first])
    stays = [column[other] for column in (visit, admit, discharge)]
    order = np.lexsort(stays)
    stays = [column[order] for column in stays]
    return stays[0][begins_run(*stays)]


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
