"""A source's rows, whole patients together → the diagnoses contract, or what was set aside and why.

It runs where the files are written (part_files.Task): what a source's row holds crosses the cluster once, and
only then becomes a row a diagnosis.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codes import SEPARATOR
from schemas.diagnoses import (
    DIAGNOSES,
    ENCODING_UNREADABLE,
    ORDER_COLUMNS,
    ORDERS_UNREADABLE,
    REASONS,
    REJECTED,
    SAME_DAY,
)
from schemas.missing import is_missing
from spark_jobs.transforms.codes import distinct_tokens, numbers_of
from spark_jobs.transforms.encoding import REPLACED
from spark_jobs.transforms.parse import MISSING, UNREADABLE, days, orders
from spark_jobs.transforms.sorting import sorted_by

# The columns that say what a source's row means (sources.raw), beside those that the source has. Text as the
# source spells it, or a date or whole number where the source has the type. SYSTEM: any name of a code system
# (schemas.codes), null if unknown; or an array of one for each of the row's codes. SET_ASIDE: a reason
# (schemas.diagnoses.REASONS) that only the source can know, e.g. a line that could not be split into fields,
# or a claim that another reverses. BIRTH_DATE: the patient's, a date.
PATIENT, VISIT, ADMIT, DISCHARGE = "__patient", "__visit", "__admit", "__discharge"
SYSTEM, BIRTH_DATE = "__system", "__birth"
ORDERS = tuple(f"__{name}" for name in ORDER_COLUMNS)
SET_ASIDE = "__set_aside"

MAYBE_ABSENT = {
    VISIT: pa.string(),
    **dict.fromkeys(ORDERS, pa.int32()),
    SET_ASIDE: pa.string(),
    BIRTH_DATE: pa.date32(),
}

# Reason → which of the above it is about; the others are about codes, or about the row.
ABOUT = {
    "patient_unreadable": PATIENT,
    "visit_unreadable": VISIT,
    "patient_missing": PATIENT,
    "admit_date_missing": ADMIT,
    "admit_date_unreadable": ADMIT,
    "discharge_date_missing": DISCHARGE,
    "discharge_date_unreadable": DISCHARGE,
    "discharge_before_admit": DISCHARGE,
    "before_birth": ADMIT,
    "in_future": DISCHARGE,
    "code_system_unknown": SYSTEM,
}
_ABOUT_CODES = ("code_missing", "code_system_unknown", "code_malformed", "repeated_on_line")

GOOD, ASIDE = "diagnoses", "rejected"  # the task's outputs
SOURCE_ROWS, ROWS_IN = "source_rows", "rows_in"
NUMBER_OF = {reason: number for number, reason in enumerate(REASONS)}
_NONE = len(REASONS)
DIAGNOSIS_COLUMN = "diagnosis_column"
# Among the columns of sources.raw.RawDiagnoses: those with codes, where a row has one.
CODES = "__codes"
# Raw column with a line that could not be split into fields; null for all others.
CORRUPT = "_corrupt_record"

Ints = npt.NDArray[np.int64]


class ParseDiagnoses:
    """The task. Counts SOURCE_ROWS, ROWS_IN (diagnoses), each reason and flag by its name, SAME_DAY, and
    ORDERS_UNREADABLE.

    take_patients: makes batches of whole patients of a partition; rows are in any order. codes, raw, flags,
    columns: see sources.raw.RawDiagnoses. Of several codes the order in a visit is that of their columns.
    as_of: the last day on which a discharge may be; None: any, since de-identified data may lie in the
    future.
    """

    def __init__(
        self,
        take_patients: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        codes: Mapping[str, str],
        raw: tuple[str, ...],
        flags: tuple[str, ...] = (),
        as_of: datetime.date | None = None,
        columns: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.take_patients = take_patients
        self.codes, self.raw, self.flags, self.as_of = dict(codes), raw, flags, as_of
        self.columns = dict(columns or {})
        self.counts: Counter[str] = Counter()

    def pieces(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, str, pa.RecordBatch]]:
        for rows in self.take_patients(batches):
            rows = _with_absent(rows)
            good, aside = self.parse(rows)
            yield GOOD, "", good
            yield ASIDE, "", aside

    def parse(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """(diagnoses, sorted; rejected, in order of patient, reason and raw) of whole patients' rows."""
        row, column, code, codes = _diagnoses_in([rows[name] for name in self.codes.values()])
        system, systems = _systems_of(rows[SYSTEM], row, column)
        tokens, token = distinct_tokens(system, systems, code, codes)
        of_rows = {ADMIT: days(rows[ADMIT]), DISCHARGE: days(rows[DISCHARGE])}
        of_rows |= {name: orders(rows[name]) for name in ORDERS}
        values = {name: of[row] for name, of in of_rows.items()}
        if len(self.codes) > 1:
            values[ORDERS[0]] = column + 1
        reason = np.minimum(
            _first_reason(self._reasons_of_rows(rows, of_rows))[row],
            _first_reason(
                {"code_missing": code < 0, "code_system_unknown": system < 0, "code_malformed": token < 0}
            ),
        )
        good = reason == _NONE
        self._count(rows, row, column, reason, values)
        values = {name: of[good] for name, of in values.items()}
        patient = _ranks(rows[PATIENT])
        made = _contract(rows, row[good], patient, values, tokens, token[good])
        return made, self._rejected(rows, row[~good], patient, column[~good], reason[~good])

    def _reasons_of_rows(self, rows: pa.RecordBatch, values: Mapping[str, Ints]) -> dict[str, Any]:
        """Reason → (rows,) where it applies; all but those of single codes."""
        admit, discharge = values[ADMIT], values[DISCHARGE]
        dated = (admit < MISSING) & (discharge < MISSING)
        aside = rows[SET_ASIDE].dictionary_encode()
        of_source = numbers_of(aside)
        born = days(rows[BIRTH_DATE])
        last = (self.as_of - datetime.date(1970, 1, 1)).days if self.as_of else MISSING
        return {
            **{reason: of_source == n for n, reason in enumerate(aside.dictionary.to_pylist())},
            "patient_missing": pc.equal(rows[PATIENT], "").to_numpy(zero_copy_only=False),
            "admit_date_missing": admit == MISSING,
            "admit_date_unreadable": admit == UNREADABLE,
            "discharge_date_missing": discharge == MISSING,
            "discharge_date_unreadable": discharge == UNREADABLE,
            "discharge_before_admit": dated & (discharge < admit),
            "before_birth": (born < MISSING) & (admit < born),
            "in_future": (discharge < MISSING) & (discharge > last),
        }

    def _count(
        self, rows: pa.RecordBatch, row: Ints, column: Ints, reason: Ints, values: Mapping[str, Ints]
    ) -> None:
        counts = self.counts
        counts[SOURCE_ROWS] += rows.num_rows
        counts[ROWS_IN] += len(row)
        found = np.bincount(reason, minlength=_NONE)
        counts.update({name: int(found[number]) for name, number in NUMBER_OF.items()})
        for flag in self.flags:
            counts[flag] += int(np.count_nonzero(_marked(rows[flag], row, column) & (reason == _NONE)))
        same_day = values[ADMIT] == values[DISCHARGE]
        counts[SAME_DAY] += int(np.count_nonzero(same_day & (reason == _NONE)))
        unreadable = np.any([values[name] == UNREADABLE for name in ORDERS], axis=0)
        counts[ORDERS_UNREADABLE] += int(np.count_nonzero(unreadable & (reason == _NONE)))

    def _rejected(
        self, rows: pa.RecordBatch, row: Ints, patient: Ints, column: Ints, reason: Ints
    ) -> pa.RecordBatch:
        names, reasons = list(self.codes), list(REASONS)
        shown = rows.select(self.raw).take(pa.array(row))
        values = [_python_values(of) for of in shown.columns]
        raw = [dict(zip(self.raw, line, strict=True)) for line in zip(*values, strict=True)]
        for line, n in zip(raw, column.tolist(), strict=True):
            if len(names) > 1:
                line[DIAGNOSIS_COLUMN] = names[n]
        found = [
            (reasons[n], self._in_question(reasons[n], line), _as_json(line))
            for n, line in zip(reason.tolist(), raw, strict=True)
        ]
        of_patient = patient[row].tolist()
        order = sorted(range(len(found)), key=lambda n: (of_patient[n], found[n][0], found[n][2]))
        return pa.RecordBatch.from_pylist(
            [dict(zip(REJECTED.column_names, found[n], strict=True)) for n in order], schema=REJECTED.arrow
        )

    def _in_question(self, reason: str, line: Mapping[str, Any]) -> str | None:
        """The columns that a reason is about: of several those that are filled, if any is."""
        if reason == ENCODING_UNREADABLE:
            names = tuple(name for name in self.raw if REPLACED in str(line[name]))
        elif about := self.columns.get(ABOUT.get(reason, "")):
            names = about
        elif reason in _ABOUT_CODES:
            names = (line[DIAGNOSIS_COLUMN],) if DIAGNOSIS_COLUMN in line else self.columns.get(CODES, ())
        else:
            names = ()
        filled = [name for name in names if line.get(name) not in (None, "")]
        return ", ".join(filled or names) or None


def _with_absent(rows: pa.RecordBatch) -> pa.RecordBatch:
    """With a column of nulls for each of MAYBE_ABSENT that the source has not."""
    for name, kind in MAYBE_ABSENT.items():
        if name not in rows.schema.names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
    return rows


def _systems_of(column: pa.Array, row: Ints, place: Ints) -> tuple[Ints, list[str]]:
    """((N,) each diagnosis' system as a number into the systems, -1 for none; the systems).

    column: (rows,) systems, or arrays of one for each code column. place: (N,) of each one's code column.
    """
    of_each = pa.types.is_list(column.type)
    encoded = (column.flatten() if of_each else column).dictionary_encode()
    numbers, systems = numbers_of(encoded), encoded.dictionary.to_pylist()
    return numbers.reshape(len(column), -1)[row, place] if of_each else numbers[row], systems


def _marked(flag: pa.Array, row: Ints, column: Ints) -> npt.NDArray[np.bool_]:
    """(N,) whether each diagnosis is marked. flag: (rows,) booleans, or arrays of one for each column."""
    if pa.types.is_list(flag.type):
        return flag.flatten().to_numpy(zero_copy_only=False).reshape(len(flag), -1)[row, column]
    return flag.fill_null(False).to_numpy(zero_copy_only=False)[row]


def _diagnoses_in(columns: list[pa.Array]) -> tuple[Ints, Ints, Ints, list[str]]:
    """Where the diagnoses are: (N,) row and column of each, (N,) its code's number or -1, the codes, trimmed.

    columns: each (rows,). The first column always has one, any other where it is filled.
    """
    encoded = pa.concat_arrays([column.cast(pa.string()) for column in columns]).dictionary_encode()
    codes = [text.strip() for text in encoded.dictionary.to_pylist()]
    number = np.array([*(-1 if is_missing(text) else n for n, text in enumerate(codes)), -1], np.int64)
    number = number[numbers_of(encoded)].reshape(len(columns), -1)
    is_diagnosis = number >= 0
    is_diagnosis[0] = True
    row, column = np.nonzero(is_diagnosis.T)
    return row, column, number[column, row], codes


def _first_reason(applies: Mapping[str, npt.NDArray[np.bool_]]) -> Ints:
    """(N,) number of the first reason that applies, _NONE for a good one."""
    first = np.full(len(next(iter(applies.values()))), _NONE, np.int64)
    for reason, there in applies.items():
        first[there] = np.minimum(first[there], NUMBER_OF[reason])
    return first


def _contract(
    rows: pa.RecordBatch,
    row: Ints,
    patient: Ints,
    values: Mapping[str, Ints],
    tokens: list[str],
    token: Ints,
) -> pa.RecordBatch:
    """The contract's columns of good diagnoses, sorted by layout.SORTED_BY.

    patient: (rows,) rank of each row's; row, values, token: (N,) of each diagnosis.
    """
    ranks = [np.where(values[name] == UNREADABLE, MISSING, values[name]) for name in ORDERS]
    visit = _ranks(rows[VISIT])
    order = sorted_by(patient[row], values[DISCHARGE], *ranks, token, values[ADMIT], visit[row])
    row = row[order]
    columns = [
        rows[PATIENT].take(row),
        rows[VISIT].take(row),
        *(pa.array(values[name][order].astype(np.int32)).cast(pa.date32()) for name in (ADMIT, DISCHARGE)),
        pa.array(tokens, pa.string()).take(token[order]),
        *(
            pa.array(of[order].clip(max=2**31 - 1).astype(np.int32), mask=of[order] == MISSING)
            for of in ranks
        ),
    ]
    assert all(token.count(SEPARATOR) for token in tokens)
    return pa.RecordBatch.from_arrays(columns, schema=DIAGNOSES.arrow)


def _ranks(column: pa.Array) -> Ints:
    """(N,) place of each value among the distinct ones, in order; nulls last."""
    return pc.rank(column, tiebreaker="dense").to_numpy().astype(np.int64)


def _python_values(column: pa.Array) -> list[Any]:
    """Each value; as text where it is a date or time that Python has not, as after the year 9999."""
    try:
        return column.to_pylist()
    except OverflowError:
        return [_python_value(value) for value in column]


def _python_value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except OverflowError:
        return value.cast(pa.string()).as_py()


def _as_json(raw: dict[str, Any]) -> str:
    """A row's columns, nulls included; or the line that could not be split into fields."""
    corrupt = raw.pop(CORRUPT, None)
    shown = raw if corrupt is None else {CORRUPT: corrupt}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"), default=str)
