"""A small input of each source other than claims, and the options of `ingest_claims` that read it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.spark_jobs.pipeline import write_extract

PATIENTS = range(30)
DAYS = tuple(datetime.datetime(2014, 3, day, 10, 30) for day in (1, 2))


def write_raw_sources(folder: Path) -> dict[str, tuple[str, ...]]:
    """Source → its options of `ingest_claims`, relative to the folder. Two diagnoses a patient."""
    lines = [f"{n} {day.date()} {day.date()} ICD10_C1{n % 3} 1 1 1" for n in PATIENTS for day in DAYS]
    (folder / "medbert").mkdir()
    write_extract(folder / "medbert" / "x.tsv", *lines)
    _write_omop(folder / "omop")
    _write_meds(folder / "meds")
    return {source: ("--source", source, "--input", source) for source in ("medbert", "omop", "meds")}


def _write_omop(folder: Path) -> None:
    folder.mkdir()
    rows = [(n, day) for n in PATIENTS for day in DAYS]
    dates = pa.array([day.date() for _, day in rows])
    conditions = {
        "condition_occurrence_id": range(len(rows)),
        "person_id": [n for n, _ in rows],
        "condition_start_date": dates,
        "condition_end_date": dates,
        "condition_type_concept_id": [32821] * len(rows),
        "visit_occurrence_id": pa.nulls(len(rows), pa.int64()),
        "condition_source_value": ["I10"] * len(rows),
        "condition_source_concept_id": [35207668] * len(rows),
    }
    visits = {
        "visit_occurrence_id": [1],
        "person_id": [0],
        "visit_start_date": [DAYS[0].date()],
        "visit_end_date": [DAYS[1].date()],
    }
    persons = {"person_id": PATIENTS, "year_of_birth": [1950] * len(PATIENTS)}
    for name, table in {
        "condition_occurrence": conditions,
        "visit_occurrence": visits,
        "person": persons,
    }.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")


def _write_meds(folder: Path) -> None:
    rows = [(n, day) for n in PATIENTS for day in DAYS]
    table = {
        "subject_id": pa.array([n for n, _ in rows], pa.int64()),
        "time": pa.array([day for _, day in rows], pa.timestamp("us")),
        "code": ["ICD10CM//E119"] * len(rows),
        "numeric_value": pa.nulls(len(rows), pa.float32()),
    }
    (folder / "data" / "train").mkdir(parents=True)
    pq.write_table(pa.table(table), folder / "data" / "train" / "0.parquet")
