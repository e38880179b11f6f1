"""The column map of source claims: which column of a payer's table is what. YAML, read into these
dataclasses by sources.claims_map_file.

configs/sources/ has examples. Column names may be in any case. Without a map, claims are in the generator's
own layout (schemas.claims), which is the map GENERATED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from schemas.claims import CLAIMS_FOLDER, MAX_DIAGNOSES
from schemas.codes import ICD9CM, ICD10CM, known_system, system_named
from schemas.missing import is_missing
from spark_jobs.transforms.ids import whole_number

# A date_format of whole numbers; groups: unit, first day.
SINCE = re.compile(r"(days|seconds) since ([0-9]{4}-[0-9]{2}-[0-9]{2})")
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
    """Which code system the codes are of: constant, or what the values of a column mean.

    A system of schemas.codes has a form, and a code without it is rejected as `code_malformed`: ICD9CM,
    ICD10CM, ICD9PROC (ICD-9-CM volume 3), ICD10PCS, CPT4, HCPCS, NDC, ATC, RXNORM, CCSR. Their usual names
    mean the same (`ICD-10`, `icd-10-cm`). Codes of any other name keep their form.

    Args:
        constant: the system's name.
        column: the column that says so, for all codes of the row.
        columns: a column for each column of codes, in their order: `ICD_DGNS_VRSN_CD{1..25}`, or a list. One
            may stand there several times.
        values: the values of column or columns, in any case, and the system that each means; `''` is for an
            empty one. A value that is not among them may be a system's name itself.
    """

    constant: str | None = None
    column: str | None = None
    columns: str | list[str] | None = None
    values: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Value, as _spelt has it → system."""
        return {_spelt(value): system_named(name) for value, name in self.values.items()}

    def meaning(self, value: str | None) -> str | None:
        """The system that a value of column means; None for none."""
        spelt = _spelt(value or "")
        return self.names.get(spelt) or known_system(spelt)

    def of_columns(self, num_columns: int) -> list[SystemOf]:
        """For each of so many columns of codes."""
        names = expand(self.columns) if self.columns else [plain(self.column or "")] * num_columns
        return [(self, name) for name in names]


# A system, and the column that says it, "" for a constant.
SystemOf = tuple[System, str]


def _spelt(value: str) -> str:
    """Trimmed, in lower case, `9.0` as `9`; "" for a missing one."""
    trimmed = value.strip()
    return "" if is_missing(trimmed) else (whole_number(trimmed) or trimmed).lower()


@dataclass(frozen=True)
class Codes:
    """Columns of codes beside the diagnoses. Each that is filled is a row of `diagnoses/`, as a diagnosis is,
    after the diagnoses in the order of the visit.

    Args:
        columns: as those of the diagnoses.
        system: their code system. Modifiers are no part of a CPT or HCPCS code: repairs may cut them off.
    """

    columns: str | list[str]
    system: System


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
        procedures: columns of procedure codes, e.g. in ICD10PCS, and others in HCPCS.
        drugs: columns of drug codes, e.g. in NDC, whose 10- and 11-digit forms become 11 digits.
        table: a file or folder below --input; --input itself where None, or where --input has none such.
        admit: the admission date; of several columns the first that is filled (the others are fallbacks, and
            counted).
        discharge: the discharge date, likewise.
        dates: makes admission and discharge, for data that have neither.
        date_format: Spark's pattern, e.g. MM/dd/yyyy, dd-MMM-yyyy for 15-JAN-2016, ddMMMyyyy for 01JAN2010;
            of numbers `days since 1960-01-01` or `seconds since 1960-01-01`, as in SAS, or since another day.
            None: YYYY-MM-DD, with or without a time. Columns of dates and time stamps need none.
        claim: the claim's id.
        line: the claim line's number; only says that a row is a line.
        visit: the visit's or encounter's id; None: the claim's.
        header: a table to look up further columns in.
        status: reversed and replaced claims.
        inpatient: which claims are stays.
        birth: when patients were born.
        missing: values that mean missing, besides the empty one and the words of schemas.missing, in every
            column. A date is missing in each of its forms: `9999-12-31` in columns of dates and time stamps,
            and with any date_format.
        repairs: of codes, before their form is looked at.
        drop_duplicate_lines: rows that are there twice, equal in every column, are set aside as
            `duplicate_line`.
    """

    patient: str
    diagnoses: Diagnoses
    system: System
    procedures: list[Codes] = field(default_factory=list)
    drugs: list[Codes] = field(default_factory=list)
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
    def code_columns(self) -> list[str]:
        """The columns of diagnoses, then those of procedures and drugs."""
        return [name for columns, _ in self.codes for name in columns]

    @property
    def codes(self) -> list[tuple[list[str], System]]:
        """Columns of codes, with their system: the diagnoses first."""
        further = [(expand(of.columns), of.system) for of in (*self.procedures, *self.drugs)]
        return [(self.diagnosis_columns, self.system), *further]

    @property
    def systems(self) -> list[SystemOf]:
        """Of each of code_columns its system; of one for all, where that is the same."""
        found = [of for columns, system in self.codes for of in system.of_columns(len(columns))]
        return found[:1] if all(of == found[0] for of in found) else found

    @property
    def system_columns(self) -> list[str]:
        """The columns that say a code system."""
        return [name for name in dict.fromkeys(name for _, name in self.systems) if name]

    @property
    def columns(self) -> list[str]:
        """Every column of the claims table, the header's among them, that the map names; lower case."""
        parts = [
            [self.patient, self.claim, self.line, self.visit, self.diagnoses.order],
            self.system_columns,
            self.code_columns,
            self.admit,
            self.discharge,
            [self.status.column, self.status.original] if self.status else [],
            [self.inpatient.column] if self.inpatient else [],
            [self.dates.order_by, self.dates.length_of_stay] if self.dates else [],
            [self.birth.column] if self.birth and not self.birth.table else [],
        ]
        return list(dict.fromkeys(plain(name) for part in parts for name in part if name))

    @property
    def number_columns(self) -> list[str]:
        """Those whose numbers are whole, as ids are: `9.0` is `9`; lower case. A code may be `401.0`."""
        header, status, stays, dates = self.header, self.status, self.inpatient, self.dates
        parts = [
            [self.patient, self.claim, self.line, self.visit],
            self.system_columns,
            header.on if header else [],
            [status.column, status.original] if status else [],
            [stays.column] if stays else [],
            [dates.order_by, dates.length_of_stay] if dates else [],
            [*self.admit, *self.discharge] if self.date_format else [],
            [self.birth.column] if self.birth else [],
        ]
        return list(dict.fromkeys(plain(name) for part in parts for name in part if name))

    @property
    def missing_values(self) -> list[str]:
        """`missing`, and as the columns above have it where it is a whole number (`-1.0`)."""
        plain_ones = (whole_number(value) for value in self.missing)
        return list(dict.fromkeys([*self.missing, *(value for value in plain_ones if value)]))


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
