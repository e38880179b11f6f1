import datetime
import random
from collections import Counter, defaultdict

import pytest
from pyspark.sql import functions as F

from schemas.diagnoses import DIAGNOSES
from schemas.profile import LOS_BINS
from spark_jobs.patient_rows import PatientRows
from spark_jobs.transforms.profile import NO_SYSTEM, count_diagnoses, count_sequences

pytestmark = pytest.mark.spark

TOKENS = ["[PAD]", "[UNK]", "ICD10CM//I10", "ICD10CM//E11.9", "ICD9CM//401.9", "LOCAL//7"]


def some_diagnoses(seed=3, rows=400, patients=40) -> list[tuple]:
    """(patient, admit, discharge, code), by chance."""
    draw = random.Random(seed)
    found = []
    for _ in range(rows):
        admit = datetime.date(2015, 8, 1) + datetime.timedelta(days=draw.randrange(120))
        stay = draw.choice([0, 0, 1, 5, 40, 200])
        found.append(
            (
                f"p{draw.randrange(patients)}",
                admit,
                admit + datetime.timedelta(days=stay),
                draw.choice(TOKENS[2:]),
            )
        )
    return found


def counts_in_plain_python(rows, visit_of) -> dict[tuple[str, str, str], tuple[int, int]]:
    """The slow way: (section, key, part) → (patients, number)."""
    entries, visits, codes_each = defaultdict(list), {}, defaultdict(set)
    for patient, admit, discharge, code in rows:
        visit = (patient, visit_of(discharge))
        first, last = visits.get(visit, (admit, discharge))
        visits[visit] = (min(first, admit), max(last, discharge))
        codes_each[patient].add((visit, code))
        system = code.split("//")[0] if "//" in code else NO_SYSTEM
        entries["code", code, ""].append(patient)
        entries["system", system, ""].append(patient)
    for patient, _, discharge, code in rows:
        month = str(visits[patient, visit_of(discharge)][1])[:7]
        system = code.split("//")[0] if "//" in code else NO_SYSTEM
        entries["month", month, ""].append(patient)
        entries["month", month, system].append(patient)
    for (patient, _), (admit, discharge) in visits.items():
        los = max(n for n, least in enumerate(LOS_BINS) if least <= (discharge - admit).days)
        entries["los", str(los), ""].append(patient)
    everybody = {patient for patient, *_ in rows}
    visits_each = Counter(patient for patient, _ in visits)
    for patient in everybody:
        entries["visits each", str(visits_each[patient]), ""].append(patient)
        entries["codes each", str(len(codes_each[patient])), ""].append(patient)
    counts = {cell: (len(set(patients)), len(patients)) for cell, patients in entries.items()}
    counts["total", "patients", "visits"] = (len(everybody), len(visits))
    counts["total", "rows", ""] = (len(everybody), len(rows))
    return counts


def as_dict(counted) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {(r.section, r.key, r.part): (r.patients, r.number) for r in counted.collect()}


@pytest.mark.parametrize("partitions", [1, 7])
def test_counts_of_diagnoses(spark, partitions):
    rows = some_diagnoses()
    table = [(p, None, admit, discharge, code, None, None, None) for p, admit, discharge, code in rows]
    diagnoses = spark.createDataFrame(table, DIAGNOSES.ddl).repartition(partitions, "patient_id")
    found = as_dict(count_diagnoses(diagnoses.sortWithinPartitions("patient_id"), PatientRows("here")))
    assert found == counts_in_plain_python(rows, lambda discharge: discharge)


def test_counts_of_sequences_and_of_shards_without_dates(spark):
    day = datetime.date(2015, 9, 30)
    rows = [
        ("a", [2, 3, 2], [1, 1, 2], [day, day], [day, day.replace(month=10)]),
        ("b", [1], [1], [day], [day]),
    ]
    names = "token_ids array<int>, visit_numbers array<int>"
    dates = "visit_admit_dates array<date>, visit_discharge_dates array<date>"
    table = spark.createDataFrame(rows, f"patient_id string, {names}, {dates}")
    flat = [
        ("a", day, day, TOKENS[2]),
        ("a", day, day, TOKENS[3]),
        ("a", day, day.replace(month=10), TOKENS[2]),
        ("b", day, day, TOKENS[1]),
    ]
    expected = counts_in_plain_python(flat, lambda discharge: discharge)
    assert as_dict(count_sequences(table.withColumn("los_days", F.lit(None)), TOKENS)) == expected
    shards = table.select("token_ids", "visit_numbers")
    undated = {cell: count for cell, count in expected.items() if cell[0] not in ("month", "los")}
    assert as_dict(count_sequences(shards, TOKENS)) == undated


def test_nothing_has_no_counts(spark):
    nothing = spark.createDataFrame([], DIAGNOSES.ddl)
    assert as_dict(count_diagnoses(nothing, PatientRows("here"))) == {}
