"""Whether two programs made the same rows; and the patients' split for those that cannot hash like Spark."""

from __future__ import annotations

import duckdb

from schemas.sequences import SEQUENCES


def sequences_that_differ(ours: str, theirs: str) -> int:
    """Rows of either side without an equal one on the other: every column of the contract, and the split."""
    columns = ", ".join([*SEQUENCES.column_names, "split"])
    left = f"SELECT {columns} FROM read_parquet('{ours}/*/*.parquet', hive_partitioning = true)"
    right = f"SELECT {columns} FROM read_parquet('{theirs}')"
    query = f"SELECT count(*) FROM (({left} EXCEPT ALL {right}) UNION ALL ({right} EXCEPT ALL {left}))"
    return _number(query)


def vocabularies_that_differ(ours: str, theirs: str) -> int:
    """Codes with another id or count on the other side. Special tokens are ours alone."""
    columns = "token_id, token, num_patients, num_occurrences"
    right = f"SELECT {columns} FROM read_parquet('{theirs}')"
    left = f"SELECT {columns} FROM read_parquet('{ours}/vocabulary.parquet') WHERE num_patients > 0"
    return _number(f"SELECT count(*) FROM (({left} EXCEPT {right}) UNION ALL ({right} EXCEPT {left}))")


def loop_rows_that_differ(ours: str, vocabulary: str, loop: str) -> int:
    """Patients whose visits, stays or known codes the pandas loop has otherwise."""
    return _number(f"""
        WITH tokens AS (SELECT token, token_id FROM read_parquet('{vocabulary}/vocabulary.parquet')),
        mine AS (SELECT * FROM read_parquet('{ours}/*/*.parquet', hive_partitioning = true)),
        loop AS (SELECT * FROM read_parquet('{loop}')),
        known AS (
          SELECT patient_id, sum(hash(token_id, visit)) AS codes
          FROM (SELECT patient_id, unnest(codes) AS code, unnest(visit_numbers)::INTEGER AS visit FROM loop)
          JOIN tokens ON code = token GROUP BY ALL
        ), mine_known AS (
          SELECT patient_id, sum(hash(token_id, visit)) AS codes
          FROM (SELECT patient_id, unnest(token_ids) AS token_id, unnest(visit_numbers) AS visit FROM mine)
          SEMI JOIN tokens USING (token_id) WHERE token_id NOT IN (0, 1, 2, 3) GROUP BY ALL
        )
        SELECT count(*) FROM mine SEMI JOIN loop USING (patient_id)
        JOIN loop AS l USING (patient_id)
        LEFT JOIN known USING (patient_id) LEFT JOIN mine_known AS m USING (patient_id)
        WHERE mine.los_days <> l.los_days OR mine.days_to_next_visit <> l.days_to_next_visit
          OR mine.prolonged_los <> l.prolonged_los OR known.codes IS DISTINCT FROM m.codes""")


def rows_in(files: str) -> int:
    return _number(f"SELECT count(*) FROM read_parquet('{files}')")


def first_patients(diagnoses: str, patients: int, output: str) -> int:
    """Write the diagnoses of the first patients by id as one Parquet file; return how many patients."""
    duckdb.sql(f"""
        COPY (SELECT * FROM read_parquet('{diagnoses}/*.parquet') WHERE patient_id IN (
          SELECT DISTINCT patient_id FROM read_parquet('{diagnoses}/*.parquet') ORDER BY 1 LIMIT {patients}))
        TO '{output}' (FORMAT parquet)""")
    return _number(f"SELECT count(DISTINCT patient_id) FROM read_parquet('{output}')")


def _number(query: str) -> int:
    row = duckdb.connect().execute(query).fetchone()
    assert row
    return int(row[0])
