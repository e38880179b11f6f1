"""Med-BERT's extract: a TSV with a header, plain or gzipped, one row a diagnosis.

Columns: patient_id, vadate (admit), vddate (discharge), diag (`ICD9_150.6`, `ICD10_C50`), poa,
diagnosis_priority, third_party_ind. Source: Rasmy et al. 2021, the published preprocessing script.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.codes import ALIASES, PUNCTUATION
from spark_jobs.sources.raw import (
    RawDiagnoses,
    as_text,
    id_unreadable,
    raw_diagnoses,
    require_columns,
    row_unreadable,
    with_plain_ids,
)
from spark_jobs.sources.tables import CORRUPT, RawInput
from spark_jobs.transforms.codes import empty_as_null, is_missing_word, trim
from spark_jobs.transforms.diagnoses import (
    ADMIT,
    CODES,
    DISCHARGE,
    ORDERS,
    PATIENT,
    SET_ASIDE,
    SOURCE_ROWS,
    SYSTEM,
)

COLUMNS = ("patient_id", "vadate", "vddate", "diag", "poa", "diagnosis_priority", "third_party_ind")

SAYING = {
    PATIENT: ("patient_id",),
    ADMIT: ("vadate",),
    DISCHARGE: ("vddate",),
    SYSTEM: ("diag",),
    CODES: ("diag",),
}


def read(raw: RawInput, options: object = None) -> RawDiagnoses:
    """Read an extract: one file, or a folder of files with one header. Raises ContractError."""
    table = raw.read(separator="\t", needed=COLUMNS)
    require_columns(table, COLUMNS, raw.uri)
    table = as_text(with_plain_ids(table, ["patient_id"]), ("vadate", "vddate"))
    system, code = _split_diag()
    said = {
        PATIENT: empty_as_null(F.col("patient_id").cast("string")),
        ADMIT: F.col("vadate"),
        DISCHARGE: F.col("vddate"),
        SYSTEM: system,
        SET_ASIDE: F.coalesce(row_unreadable(table, COLUMNS), id_unreadable("patient_id")),
    }
    # The order in which the original's script sorts a visit.
    order = ("poa", "third_party_ind", "diagnosis_priority")
    said |= {name: F.col(column) for name, column in zip(ORDERS, order, strict=True)}
    rows = table.withColumn("__code", code)
    counts = table.agg(F.count("*").alias(SOURCE_ROWS))
    return raw_diagnoses(rows, said, {"diag": "__code"}, [*COLUMNS, CORRUPT], (counts,), columns=SAYING)


def _split_diag() -> tuple[Column, Column]:
    """`ICD9_150.6` → (ICD9, 150.6): the prefix is any name of a code system."""
    diag = F.col("diag")
    cut = F.instr(diag, F.lit("_"))
    prefix = F.upper(trim(F.substring(diag, F.lit(1), cut - 1)))
    system = F.when(cut > 0, F.nullif(prefix, F.lit("")))
    code = F.when(cut > 0, F.substring(diag, cut + 1, F.length(diag))).otherwise(diag)
    # `ICD10_nan` is a field that is filled, though with no code of its system.
    has_form = F.upper(F.regexp_replace(system, PUNCTUATION, "")).isin(*ALIASES)
    return system, F.when(has_form & is_missing_word(trim(code)), diag).otherwise(code)
