"""As many claims, but skewed: one patient with 200,000 diagnoses, one code in 90% of rows."""

from __future__ import annotations

import os

import duckdb

from schemas.claims import DIAGNOSIS_COLUMNS

SKEWED_PATIENT_ROWS = 200_000
CODE = "I10"
SHARE = 0.9


def write_skewed(claims: str, output: str) -> None:
    """Read and write Parquet folders of the generator's layout."""
    os.makedirs(output, exist_ok=True)
    entries = " + ".join(f"({name} IS NOT NULL)::INTEGER" for name in DIAGNOSIS_COLUMNS)
    often = f"hash(claim_id) % 1000 < {round(SHARE * 1000)}"
    codes = ", ".join(
        f"CASE WHEN {often} AND {name} IS NOT NULL THEN '{CODE}' ELSE {name} END AS {name}"
        for name in DIAGNOSIS_COLUMNS
    )
    first = "first_value(patient_id) OVER (ORDER BY claim_id)"
    before = f"sum({entries}) OVER (ORDER BY claim_id ROWS UNBOUNDED PRECEDING)"
    duckdb.sql(f"""
        COPY (
          SELECT * REPLACE (
            CASE WHEN {before} <= {SKEWED_PATIENT_ROWS} THEN {first} ELSE patient_id END AS patient_id,
            CASE WHEN {often} THEN 10 ELSE icd_version END AS icd_version, {codes})
          FROM read_parquet('{claims}/*.parquet')
        ) TO '{output}/claims.parquet' (FORMAT parquet, COMPRESSION zstd)""")
