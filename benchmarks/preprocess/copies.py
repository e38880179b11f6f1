"""The same claims several times over, each time of other patients: more data of the same kind."""

from __future__ import annotations

import os

import duckdb


def write_copies(claims: str, output: str, copies: int) -> None:
    """Read and write Parquet folders of the generator's layout; a file a copy."""
    os.makedirs(output, exist_ok=True)
    for copy in range(copies):
        duckdb.sql(f"""
            COPY (
              SELECT * REPLACE (patient_id || '-{copy}' AS patient_id, claim_id || '-{copy}' AS claim_id)
              FROM read_parquet('{claims}/*.parquet')
            ) TO '{output}/{copy:05}.parquet' (FORMAT parquet, COMPRESSION zstd)""")
