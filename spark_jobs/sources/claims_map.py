"""The column map of source claims: which column of a payer's table is what. YAML, read into these
dataclasses by sources.claims_map_file.

configs/sources/ has examples. Column names may be in any case. Without a map, claims are in the generator's
own layout (schemas.claims), which is the map GENERATED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from schemas.claims import CLAIMS_FOLDER, MAX_DIAGNOSES
from schemas.codes import ICD9CM, ICD10CM

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Diagnoses:
    """Where the codes are.

    Args:
        columns: wide: `diag_{1..25}`, `DX{01..12}`, or a list of columns; each that is filled is a diagnosis,
            and the first always is one, so that a claim without any is set aside, not lost. Long: the one
            column.
        order: long: column of the order within the visit, a whole number; wide: the columns' own order.
        repeat_on_lines: the codes are the claim's, and stand on each of its lines: one line's count, the
            others' are set aside as `repeated_on_line`. Needs claim.
    """

    columns: str | list[str]
    order: str | None = None
    repeat_on_lines: bool = False


@dataclass(frozen=True)
class System:
    """Which code system the codes are of: constant, or a column, or one for each diagnosis column, and what
    their values mean.

    Args:
        constant: ICD9CM, ICD10CM, or another name.
        column: the column that says so, of all codes of a row.
        columns: of each diagnosis column, in their order, the column that says so: `ICD_DGNS_VRSN_CD{1..25}`,
            or a list. One may stand there several times.
        values: their values, in any case, and the system that each means; `''` is for a column that is empty.
    """

    constant: str | None = None
    column: str | None = None
    columns: str | list[str] | None = None
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """Claims that a later one undoes. Each value is a regular expression for the whole value.

    Args:
        column: the column that says so, e.g. a claim status or the bill type, whose last digit is 7 for a
            replacement and 8 for a void.
        reversed: this claim takes one back: it and the one it names go, as `claim_reversed`.
        replacement: this claim stays; the one that it names goes, as `claim_replaced`.
        superseded: this claim itself was undone by another: it goes, as `claim_replaced`.
        original: column with the id of the claim that is taken back or replaced. None: it has the same id.
    """

    column: str
    reversed: list[str] = field(default_factory=list)
    replacement: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    original: str | None = None


@dataclass(frozen=True)
class Inpatient:
    """Which claims are stays. Any other is one day, its first: a bill for a month is no stay of a month.

    Args:
        column: the column that says so, e.g. bill type.
        values: regular expressions for the whole value, e.g. `11.`.
    """

    column: str
    values: list[str]


@dataclass(frozen=True)
class Birth:
    """When a patient was born, as a date or a year.

    Args:
        column: the column.
        table: the table it is in, if it is not that of the claims.
        patient: that table's patient column; None: it has the same name.
    """

    column: str
    table: str | None = None
    patient: str | None = None


@dataclass(frozen=True)
class Header:
    """A table of claim headers, whose columns are looked up for each line.

    Args:
        table: the table.
        on: the columns of both that say which header is a line's.
    """

    table: str
    on: list[str]


@dataclass(frozen=True)
class SynthesisedDates:
    """Dates for data that have only an order and a length of stay: each patient's visits one after another.

    Args:
        order_by: column of whole numbers; rows of a patient with one number are one visit.
        length_of_stay: column with days; of several in one visit the most.
        base: every patient's first admission, YYYY-MM-DD.
        gap_days: from a discharge to the next admission.
    """

    order_by: str
    length_of_stay: str
    base: str = "1970-01-01"
    gap_days: int = 1


@dataclass(frozen=True)
class CodeRepair:
    """Codes that a source spells in a way of its own, e.g. without leading zeros.

    Args:
        pattern: a regular expression in the code.
        replacement: what to put there; `$1` is the first group.
        system: only codes of this system; None: all.
    """

    pattern: str
    replacement: str
    system: str | None = None


@dataclass(frozen=True)
class ClaimsMap:
    """Which column is what.

    Args:
        patient: the patient's id.
        diagnoses: the codes.
        system: their code system.
        table: a file or folder below --input; --input itself where None, or where --input has none such.
        admit: the admission date; of several columns the first that is filled (the others are fallbacks, and
            counted).
        discharge: the discharge date, likewise.
        dates: makes admission and discharge, for data that have neither.
        date_format: Spark's pattern, e.g. MM/dd/yyyy, dd-MMM-yyyy (15-JAN-2016), or `SAS`: days since 1960,
            as SAS keeps them; None: YYYY-MM-DD.
        claim: the claim's id.
        line: the claim line's number; only says that a row is a line.
        visit: the visit's or encounter's id; None: the claim's.
        header: a table to look up further columns in.
        status: reversed and replaced claims.
        inpatient: which claims are stays.
        birth: when patients were born.
        missing: values that mean missing, besides the empty one.
        repairs: of codes.
        drop_duplicate_lines: rows that are there twice, equal in every column, are set aside as
            `duplicate_line`.
    """

    patient: str
    diagnoses: Diagnoses
    system: System
    table: str | None = None
    admit: list[str] = field(default_factory=list)
    discharge: list[str] = field(default_factory=list)
    dates: SynthesisedDates | None = None
    date_format: str | None = None
    claim: str | None = None
    line: str | None = None
    visit: str | None = None
    header: Header | None = None
    status: Status | None = None
    inpatient: Inpatient | None = None
    birth: Birth | None = None
    missing: list[str] = field(default_factory=list)
    repairs: list[CodeRepair] = field(default_factory=list)
    drop_duplicate_lines: bool = False

    @property
    def diagnosis_columns(self) -> list[str]:
        return expand(self.diagnoses.columns)

    @property
    def system_columns(self) -> list[str]:
        """Of each diagnosis column the one that says its code system; none where one says it for the row."""
        return expand(self.system.columns) if self.system.columns else []

    @property
    def columns(self) -> list[str]:
        """Every column of the claims table, the header's among them, that the map names; lower case."""
        parts = [
            [self.patient, self.claim, self.line, self.visit, self.system.column, self.diagnoses.order],
            self.system_columns,
            self.diagnosis_columns,
            self.admit,
            self.discharge,
            [self.status.column, self.status.original] if self.status else [],
            [self.inpatient.column] if self.inpatient else [],
            [self.dates.order_by, self.dates.length_of_stay] if self.dates else [],
            [self.birth.column] if self.birth and not self.birth.table else [],
        ]
        return list(dict.fromkeys(plain(name) for part in parts for name in part if name))


SAS_DAYS = "SAS"

GENERATED = ClaimsMap(
    patient="patient_id",
    claim="claim_id",
    admit=["admit_date"],
    discharge=["discharge_date"],
    system=System(column="icd_version", values={"9": ICD9CM, "10": ICD10CM}),
    diagnoses=Diagnoses(f"diagnosis_{{1..{MAX_DIAGNOSES}}}"),
    table=CLAIMS_FOLDER,
)


def plain(name: str) -> str:
    """A column's name as sources.tables gives it."""
    return name.strip().lower()


def expand(columns: str | list[str]) -> list[str]:
    """`diag_{1..3}` → diag_1, diag_2, diag_3; a list may hold such patterns too. Lower case.

    As in a shell: where a number of the pattern begins with 0, all are as long as the longer of the two.
    """
    found = []
    for name in [columns] if isinstance(columns, str) else columns:
        span = _RANGE.search(name)
        names = [_RANGE.sub(number, name, count=1) for number in _numbers(*span.groups())] if span else [name]
        found += map(plain, names)
    return found


def _numbers(first: str, last: str) -> list[str]:
    padded = any(len(end) > 1 and end.startswith("0") for end in (first, last))
    digits = max(len(first), len(last)) if padded else 0
    return [str(number).zfill(digits) for number in range(int(first), int(last) + 1)]
