"""Claims in two parts: those there already, and a last month's."""

from __future__ import annotations

import os

import duckdb

from schemas.claims import CLAIMS_FOLDER


def split_claims(claims: str, landing: str, drop: str, share: float) -> dict[str, int]:
    """Write all but the newest claims below `landing`, in the generator's layout, the newest as `drop`.

    share: of the claims, by the day of admission, which is about what the newest are. Returns how many claims
    and patients there are in the drop, and how many in all.
    """
    os.makedirs(f"{landing}/{CLAIMS_FOLDER}", exist_ok=True)
    source = f"read_parquet('{claims}/*.parquet')"
    (day,) = _one(f"SELECT quantile_disc(admit_date, {1 - share}) FROM {source}")
    options = "(FORMAT parquet, COMPRESSION zstd)"
    old = f"SELECT * FROM {source} WHERE admit_date <= '{day}'"
    duckdb.sql(f"COPY ({old}) TO '{landing}/{CLAIMS_FOLDER}/old.parquet' {options}")
    duckdb.sql(f"COPY (SELECT * FROM {source} WHERE admit_date > '{day}') TO '{drop}' {options}")
    counted = "count(*), count(DISTINCT patient_id)"
    new_claims, new_patients = _one(f"SELECT {counted} FROM read_parquet('{drop}')")
    all_claims, all_patients = _one(f"SELECT {counted} FROM {source}")
    return {
        "claims": all_claims,
        "new claims": new_claims,
        "patients with claims": all_patients,
        "patients with new claims": new_patients,
    }


def rows_digest(files: str) -> tuple[int, int]:
    """Number of rows of Parquet files, and a sum of their hashes: equal for equal rows in any order."""
    source = f"read_parquet('{files}', hive_partitioning = false) AS row"
    return _one(f"SELECT count(*), coalesce(sum(hash(row)::HUGEINT), 0) FROM {source}")


def _one(query: str) -> tuple:
    row = duckdb.connect().execute(query).fetchone()
    assert row
    return row
