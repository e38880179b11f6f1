"""Which diagnosis rows are one visit: a rule each (schemas.sequences.VISIT_RULES), in flat NumPy.

A rule gives each row the number of its visit, (R,), such that visits rise by patient, discharge (the latest
of their rows) and admission (the earliest).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from schemas.sequences import BY_DISCHARGE_DATE, BY_OVERLAP, BY_VISIT_ID

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_FAR = np.int64(2**32)  # more days than lie between any two dates


def begins_run(*columns: Ints) -> Flags:
    """(R,) whether a row differs from the one before in any of the columns, each (R,)."""
    first = np.ones(len(columns[0]), bool)
    first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return first


def numbered(begins: Flags) -> Ints:
    """(R,) the number of each row's run, from 0."""
    return np.cumsum(begins) - 1


def by_discharge_date(patient: Ints, admit: Ints, discharge: Ints, source_visit: Ints) -> Ints:
    """Rows sorted by patient and discharge."""
    return numbered(begins_run(patient, discharge))


def by_visit_id(patient: Ints, admit: Ints, discharge: Ints, source_visit: Ints) -> Ints:
    """Rows sorted by source_visit, a number of the source's visit, which rises with the patient.

    Visits of the same dates stay in the order of source_visit.
    """
    begins = begins_run(source_visit)
    starts = np.flatnonzero(begins)
    if not len(starts):
        return numbered(begins)
    first_day, last_day = np.minimum.reduceat(admit, starts), np.maximum.reduceat(discharge, starts)
    order = np.lexsort((first_day, last_day, patient[starts]))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[numbered(begins)]


def by_overlap(patient: Ints, admit: Ints, discharge: Ints, source_visit: Ints) -> Ints:
    """Rows sorted by patient. In order of admission, a visit ends where a stay begins after all before it."""
    order = np.lexsort((admit, patient))
    begin, end = (patient[order] * _FAR + day[order] for day in (admit, discharge))
    begins = np.ones(len(order), bool)
    begins[1:] = begin[1:] > np.maximum.accumulate(end)[:-1]
    visit = np.empty_like(patient)
    visit[order] = numbered(begins)
    return visit


VISIT_OF: Mapping[str, Callable[[Ints, Ints, Ints, Ints], Ints]] = {
    BY_DISCHARGE_DATE: by_discharge_date,
    BY_VISIT_ID: by_visit_id,
    BY_OVERLAP: by_overlap,
}
