"""The same work as ingest, vocabulary and sequences in one DuckDB process: what a user might pick instead.

    python -m benchmarks.preprocess.duckdb_chain CLAIMS SPLITS OUTPUT

CLAIMS: Parquet files of the generator's layout. SPLITS: a Parquet table (patient_id, split), since DuckDB has
no XXH64 with Spark's seed: the hash of a patient is a gift to it. OUTPUT gets diagnoses.parquet,
vocabulary.parquet, sequences.parquet and seconds.json. Same rules: codes checked and dotted, dates checked,
exact counts, a code once a visit, an unknown code [UNK].
"""

from __future__ import annotations

import json
import os
import sys
import time

import duckdb

from schemas.claims import DIAGNOSIS_COLUMNS
from schemas.sequences import PROLONGED_LOS_DAYS
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS, SPECIAL_TOKENS, STANDARD_SPECIAL_TOKENS

MIN_CODES = 4
_LAST = 2**31 - 1

INGEST = f"""
COPY (
  WITH entries AS (
    SELECT trim(patient_id) AS patient_id, trim(claim_id) AS visit_id,
      admit_date, discharge_date, icd_version,
      unnest([{", ".join(DIAGNOSIS_COLUMNS)}]) AS code,
      unnest(range(1, {len(DIAGNOSIS_COLUMNS) + 1})) AS order_1
    FROM read_parquet('{{claims}}')
  ), bare AS (
    SELECT * REPLACE (replace(upper(trim(code)), '.', '') AS code) FROM entries WHERE code IS NOT NULL
  ), dotted AS (
    SELECT * REPLACE (CASE
      WHEN icd_version = 10 AND regexp_full_match(code, '[A-Z][0-9A][0-9A-Z][0-9A-Z]{{{{0,4}}}}')
        THEN 'ICD10CM//' || code[:3] || CASE WHEN length(code) > 3 THEN '.' || code[4:] ELSE '' END
      WHEN icd_version = 9 AND regexp_full_match(code, 'E[0-9]{{{{3}}}}[0-9]?')
        THEN 'ICD9CM//' || code[:4] || CASE WHEN length(code) > 4 THEN '.' || code[5:] ELSE '' END
      WHEN icd_version = 9 AND regexp_full_match(code, '[0-9V][0-9]{{{{2}}}}[0-9]{{{{0,2}}}}')
        THEN 'ICD9CM//' || code[:3] || CASE WHEN length(code) > 3 THEN '.' || code[4:] ELSE '' END
      END AS code) FROM bare
  )
  SELECT patient_id, visit_id, admit_date, discharge_date, code, order_1::INTEGER AS order_1 FROM dotted
  WHERE patient_id <> '' AND discharge_date >= admit_date AND code IS NOT NULL
) TO '{{output}}/diagnoses.parquet' (FORMAT parquet, COMPRESSION zstd)
"""

VOCABULARY = f"""
COPY (
  WITH pairs AS (
    SELECT code, patient_id, count(*) AS occurrences
    FROM '{{output}}/diagnoses.parquet' JOIN '{{splits}}' USING (patient_id) WHERE split = 'train'
    GROUP BY ALL
  ), counted AS (
    SELECT code, count(*) AS num_patients, sum(occurrences) AS num_occurrences FROM pairs GROUP BY code
    HAVING count(*) >= {SMALL_CELL_MIN_PATIENTS}
  )
  SELECT row_number() OVER (ORDER BY num_patients DESC, code) + {len(SPECIAL_TOKENS) - 1} AS token_id,
    code AS token, num_patients, num_occurrences FROM counted ORDER BY token_id
) TO '{{output}}/vocabulary.parquet' (FORMAT parquet)
"""

# A code's place in its visit is one number: the claim's own order, then the code's rank by name.
SEQUENCES = f"""
COPY (
  WITH codes AS (
    SELECT token, token_id, row_number() OVER (ORDER BY token) AS place FROM '{{output}}/vocabulary.parquet'
  ), firsts AS (
    SELECT patient_id, discharge_date, coalesce(token_id, {STANDARD_SPECIAL_TOKENS.unk})::INTEGER AS token_id,
      min(admit_date) AS admit_date, min(order_1::BIGINT * {_LAST + 1} + coalesce(place, {_LAST})) AS place
    FROM '{{output}}/diagnoses.parquet' LEFT JOIN codes ON code = token GROUP BY ALL
  ), visits AS (
    SELECT patient_id, discharge_date, min(admit_date) AS admit_date, list(token_id ORDER BY place) AS tokens
    FROM firsts GROUP BY ALL
  ), patients AS (
    SELECT patient_id, list(tokens ORDER BY discharge_date) AS tokens,
      list(admit_date ORDER BY discharge_date) AS visit_admit_dates,
      list(discharge_date ORDER BY discharge_date) AS visit_discharge_dates
    FROM visits GROUP BY patient_id
  ), sequences AS (
    SELECT patient_id, flatten(tokens) AS token_ids,
      flatten(list_transform(tokens, lambda t, i: list_transform(t, lambda x: i::INTEGER))) AS visit_numbers,
      visit_admit_dates, visit_discharge_dates,
      list_transform(visit_admit_dates, lambda d, i: (visit_discharge_dates[i] - d)::INTEGER) AS los_days,
      list_transform(visit_discharge_dates, lambda d, i: coalesce(visit_admit_dates[i + 1] - d, 0)::INTEGER)
        AS days_to_next_visit
    FROM patients
  )
  SELECT sequences.*, list_max(los_days) > {PROLONGED_LOS_DAYS} AS prolonged_los, split
  FROM sequences JOIN '{{splits}}' USING (patient_id) WHERE len(token_ids) >= {MIN_CODES}
) TO '{{output}}/sequences.parquet' (FORMAT parquet, COMPRESSION zstd)
"""

STEPS = {"ingest": INGEST, "vocabulary": VOCABULARY, "sequences": SEQUENCES}


def run(claims: str, splits: str, output: str, *, threads: int, memory: str) -> dict[str, float]:
    """Run the three steps; return the wall seconds of each. `claims` may be a glob."""
    os.makedirs(output, exist_ok=True)
    connection = duckdb.connect(
        config={"threads": threads, "memory_limit": memory, "temp_directory": f"{output}/spill"}
    )
    connection.execute("SET preserve_insertion_order = false")
    seconds = {}
    for name, query in STEPS.items():
        started = time.monotonic()
        connection.execute(query.format(claims=claims, splits=splits, output=output))
        seconds[name] = time.monotonic() - started
    return seconds


def main() -> None:
    claims, splits, output, threads, memory = sys.argv[1:]
    seconds = run(claims, splits, output, threads=int(threads), memory=memory)
    with open(f"{output}/seconds.json", "w", encoding="utf-8") as file:
        json.dump(seconds, file)


if __name__ == "__main__":
    main()
