"""Med-BERT's extract: a TSV with a header, plain or gzipped, one row a diagnosis.

Columns: patient_id, vadate (admit), vddate (discharge), diag (`ICD9_150.6`, `ICD10_C50`), poa,
diagnosis_priority, third_party_ind. Source: Rasmy et al. 2021, the published preprocessing script.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.medbert_types import PREFIXES
from spark_jobs.sources.raw import MALFORMED, RawDiagnoses, entries, raw_json, require_columns
from spark_jobs.sources.tables import CORRUPT, RawInput

COLUMNS = ("patient_id", "vadate", "vddate", "diag", "poa", "diagnosis_priority", "third_party_ind")


def read(raw: RawInput, options: object = None) -> RawDiagnoses:
    """Read an extract: one file, or a folder of files with one header. Raises ContractError."""
    table = raw.read(separator="\t")
    require_columns(table, COLUMNS, raw.uri)
    system, code = _split_diag()
    rows = table.select(
        "patient_id",
        F.col("vadate").alias("admit_date"),
        F.col("vddate").alias("discharge_date"),
        system.alias("system"),
        code.alias("code"),
        # The order in which the original's script sorts a visit.
        F.col("poa").alias("order_1"),
        F.col("third_party_ind").alias("order_2"),
        F.col("diagnosis_priority").alias("order_3"),
        raw_json(table.columns).alias("raw"),
        F.col(CORRUPT).isNotNull().alias(MALFORMED),
    )
    return RawDiagnoses(entries(rows), counts=(table.agg(F.count("*").alias("rows_in")),))


def _split_diag() -> tuple[Column, Column]:
    """`ICD9_150.6` → (ICD9CM, 150.6); a prefix that is not known is the system's name as it stands."""
    diag = F.col("diag")
    cut = F.instr(diag, F.lit("_"))
    prefix = F.upper(F.btrim(F.substring(diag, F.lit(1), cut)))
    system = F.when(cut > 0, F.nullif(F.regexp_replace(prefix, "_$", ""), F.lit("")))
    for known, name in PREFIXES.items():
        system = F.when(prefix == known, F.lit(name)).otherwise(system)
    code = F.when(cut > 0, F.substring(diag, cut + 1, F.length(diag))).otherwise(diag)
    return system, code
