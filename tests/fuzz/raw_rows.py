"""Thousands of raw rows that went wrong, through ingest, against a plain reading of the same rows:

    python -m tests.fuzz.raw_rows --source medbert --rows 20000 --seed 0

Every row must be used as the reference (tests.fuzz.reading) uses it, or be rejected for the same reason.
Prints a table with a row a source, and examples of rows that are not; ends with 1 where there is any. One
Spark session reads all rows of a source; --source all takes one source after another.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from schemas.codes import SEPARATOR
from schemas.manifest import read_manifest
from spark_jobs import ingest_claims
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.sources.claims import ClaimsOptions
from tests.fuzz import reading
from tests.fuzz.mutations import CODE, CONCEPT, DATE, ID, ORDER, SYSTEM, line_of, mutated
from tests.fuzz.reading import Rejected, Stay, Used

EPOCH = datetime.date(1970, 1, 1)
CODES = (
    "E11.9",
    "E119",
    "I10",
    "Z00.00",
    "T36.0X1A",
    "A41",
    "4019",
    "25000",
    "250.00",
    "V58.67",
    "E880.1",
    "0389",
)
MISSING = ("UNK",)
MAP = """\
patient: patient
claim: claim
visit: stay
admit: [admit, service]
discharge: [discharge]
date_format: dd-MMM-yyyy
system: {columns: 'v{1..3}', values: {'0': ICD10CM, '9': ICD9CM, '': ICD9CM}}
diagnoses: {columns: 'dx{1..3}'}
procedures: [{columns: px, system: {constant: ICD10PCS}}]
missing: [UNK]
"""


@dataclass
class Result:
    """What became of one source's rows. Numbers are of diagnoses but for rows."""

    source: str
    rows: int
    used: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    different: int = 0
    broken: int = 0
    trace: str = ""
    examples: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.different or self.broken or self.trace) and bool(self.used and self.rejected)

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {rows}" for reason, rows in self.rejected.most_common())
        return (
            f"| {self.source} | {self.rows} | {self.used} | {sum(self.rejected.values())}: {reasons} | "
            f"{int(bool(self.trace))} | {self.different} | {self.broken} |"
        )


Judged = list[list[Used | Rejected]]
Write = Callable[[random.Random, int, str], tuple[str, Judged]]
"""(source of randomness, number of rows, an empty folder) → (the input, what its rows mean)."""


def run_source(spark: SparkSession, name: str, rows: int, seed: int, folder: str) -> Result:
    """Ingest mutated rows of a source and compare. folder: an empty one."""
    write, options = SOURCES[name]
    given = f"{folder}/raw"
    os.makedirs(given)
    chance = random.Random(f"{name}/{seed}")
    uri, judged = write(chance, rows, given)
    if "claims" in options:
        with open(f"{folder}/map.yaml", "w") as file:
            file.write(MAP)
        options = options | {"claims": ClaimsOptions(f"{folder}/map.yaml")}
    result = Result(name, rows)
    try:
        ingest_claims.main(spark, IngestClaims(input=uri, output=f"{folder}/diagnoses", **options))
    except Exception:  # whatever it is, it is what we look for
        result.trace = traceback.format_exc()
        return result
    _compare(result, judged, f"{folder}/diagnoses")
    return result


def _compare(result: Result, judged: Judged, diagnoses: str) -> None:
    wanted = Counter(found for of_row in judged for found in of_row)
    made = _rows(diagnoses, "diagnoses")
    rejected = _rows(f"{diagnoses}_rejected", "diagnoses_rejected")
    orders = ("order_1", "order_2", "order_3")
    found: Counter[Used | Rejected] = Counter(
        Used(
            row["patient_id"], row["visit_id"], row["admit_date"], row["discharge_date"], row["code"],
            tuple(row[name] for name in orders),
        )
        for row in made
    )  # fmt: skip
    result.used, result.rejected = len(made), Counter(row["reason"] for row in rejected)
    found.update(map(Rejected, result.rejected.elements()))
    # A row that differs is there too much in one, and lacks in the other.
    more, less = found - wanted, wanted - found
    result.different = max(more.total(), less.total())
    result.examples = [f"ours: {of}" for of in list(more)[:8]] + [f"reference: {of}" for of in list(less)[:8]]
    result.broken = sum(not _obeys(row) for row in made)
    counts = read_manifest(diagnoses, "diagnoses").counts
    lost = counts["rows_in"] != len(made) + len(rejected) or counts["rejected"] != dict(result.rejected)
    result.broken += lost or sum(map(len, judged)) != len(made) + len(rejected)


def _rows(folder: str, kind: str) -> list[dict]:
    files = [file.path for file in read_manifest(folder, kind, verify=True).files]
    return [row for path in files for row in pq.ParquetFile(f"{folder}/{path}").read().to_pylist()]


def _obeys(row: dict) -> bool:
    """Whether a diagnosis obeys the contract, and is its own normal form."""
    system, bar, code = row["code"].partition(SEPARATOR)
    return (
        bool(row["patient_id"]) and row["patient_id"] == row["patient_id"].strip()
        and row["visit_id"] not in ("", "0", "-1")
        and row["admit_date"] <= row["discharge_date"]
        and bool(system and bar and code)
        and reading.token_of(system, code) == row["code"]
    )  # fmt: skip


def _day(chance: random.Random) -> datetime.date:
    return datetime.date(2010, 1, 1) + datetime.timedelta(chance.randrange(3000))


def _dates(chance: random.Random, form: str = "%Y-%m-%d") -> tuple[str, str]:
    first = _day(chance)
    days = chance.choice((0, 0, 1, 3, 12))
    return first.strftime(form).upper(), (first + datetime.timedelta(days)).strftime(form).upper()


def _patient(chance: random.Random) -> str:
    return str(115_967_000 + chance.randrange(400))


def _text_rows(
    chance: random.Random, rows: list[dict[str, str]], kinds: dict[str, str], path: str, separator: bytes
) -> list[list[str]]:
    """Write mutated rows under a header; what their fields are once they are decoded."""
    columns = list(rows[0])
    lines = [line_of(chance, list(mutated(chance, row, kinds).values()), separator) for row in rows]
    with open(path, "wb") as file:
        file.write(b"\n".join([separator.join(name.encode() for name in columns), *lines]) + b"\n")
    return [line.decode("utf-8", "replace").split(separator.decode()) for line in lines]


def _medbert(chance: random.Random, number: int, folder: str) -> tuple[str, Judged]:
    def row() -> dict[str, str]:
        admit, discharge = _dates(chance)
        code = chance.choice(CODES)
        system = chance.choice(("ICD9", "ICD10", "ICD-10-CM", "LOCAL"))
        return {
            "patient_id": _patient(chance), "vadate": admit, "vddate": discharge, "diag": f"{system}_{code}",
            "poa": chance.choice("1YNUW"), "diagnosis_priority": str(chance.randrange(9)),
            "third_party_ind": "0",
        }  # fmt: skip

    kinds = {"patient_id": ID, "vadate": DATE, "vddate": DATE, "diag": CODE}
    kinds |= dict.fromkeys(("poa", "diagnosis_priority", "third_party_ind"), ORDER)
    rows = [row() for _ in range(number)]
    fields = _text_rows(chance, rows, kinds, f"{folder}/extract.tsv", b"\t")
    return f"{folder}/extract.tsv", reading.medbert(fields, list(rows[0]))


def _omop(chance: random.Random, number: int, folder: str) -> tuple[str, Judged]:
    stays, births = {}, {}
    for n in range(max(10, number // 10)):
        person = _patient(chance)
        admit, discharge = _dates(chance)
        stays[person, str(312_519_000 + n)] = Stay(admit, chance.choice((discharge, discharge, "", "NULL")))
    for n in range(400):
        births[str(115_967_000 + n)] = datetime.date(chance.choice((1950, 1980, 2013)), 7, 1)
    visits = ["visit_occurrence_id,person_id,visit_start_date,visit_end_date"]
    visits += [f"{visit}.0,{person},{stay.start},{stay.end}" for (person, visit), stay in stays.items()]
    persons = ["person_id,year_of_birth,month_of_birth,day_of_birth"]
    persons += [f"{person},{born.year},7.0,1" for person, born in births.items()]
    for name, lines in (("visit_occurrence", visits), ("person", persons)):
        with open(f"{folder}/{name}.csv", "w") as file:
            file.write("\n".join(lines) + "\n")
    known = list(stays)

    def row(n: int) -> dict[str, str]:
        admit, discharge = _dates(chance)
        person, visit = chance.choice(known)
        person = person if chance.random() < 0.8 else _patient(chance)
        return {
            "condition_occurrence_id": str(n), "person_id": person, "condition_start_date": admit,
            "condition_end_date": chance.choice(("", discharge)), "condition_type_concept_id": "32821",
            "visit_occurrence_id": chance.choice((visit, visit, "", "0")),
            "condition_source_value": chance.choice(CODES),
            "condition_source_concept_id": chance.choice(("35207668", "44829914", "0", "44820047")),
        }  # fmt: skip

    kinds = {"person_id": ID, "condition_start_date": DATE, "condition_end_date": DATE}
    kinds |= {
        "visit_occurrence_id": ID,
        "condition_source_value": CODE,
        "condition_source_concept_id": CONCEPT,
    }
    rows = [row(n) for n in range(number)]
    fields = _text_rows(chance, rows, kinds, f"{folder}/condition_occurrence.csv", b",")
    return folder, reading.omop(fields, list(rows[0]), stays, births)


def _mapped_claims(chance: random.Random, number: int, folder: str) -> tuple[str, Judged]:
    def row(n: int) -> dict[str, str]:
        admit, discharge = _dates(chance, "%d-%b-%Y")
        codes = {f"dx{n}": chance.choice((*CODES, "", "")) for n in (1, 2, 3)}
        return {
            "patient": _patient(chance), "claim": str(n), "stay": str(n // 2),
            "admit": chance.choice((admit, "")),
            "service": admit, "discharge": discharge,
            **{f"v{n}": chance.choice(("0", "9", "")) for n in (1, 2, 3)},
            **codes, "px": chance.choice(("", "0SRD0J9", "0016070")),
        }  # fmt: skip

    kinds = {"patient": ID, "claim": ID, "stay": ID, "admit": DATE, "service": DATE, "discharge": DATE}
    kinds |= dict.fromkeys(("v1", "v2", "v3"), SYSTEM) | dict.fromkeys(("dx1", "dx2", "dx3", "px"), CODE)
    rows = [row(n) for n in range(number)]
    fields = _text_rows(chance, rows, kinds, f"{folder}/claims.csv", b"|")
    return f"{folder}/claims.csv", reading.mapped_claims(fields, list(rows[0]), MISSING)


def _texts(chance: random.Random, row: dict[str, str], kinds: dict[str, str]) -> dict[str, str | None]:
    """A mutated row as columns of text have it: what cannot be decoded was lost before."""
    fields = mutated(chance, row, kinds)
    return {
        name: of.decode("utf-8", "replace") if of or chance.random() < 0.5 else None
        for name, of in fields.items()
    }


def _nasty_day(chance: random.Random) -> int | None:
    far = datetime.date.max - EPOCH
    return chance.choice((None, far.days, far.days + 1, -719_162, -719_163, 2**31 - 1, -(2**31), 0))


def _plain_claims(chance: random.Random, number: int, folder: str) -> tuple[str, Judged]:
    names = [f"diagnosis_{n}" for n in range(1, 13)]
    kinds = {"patient_id": ID, "claim_id": ID} | dict.fromkeys(names, CODE)

    def row(n: int) -> dict:
        first = (_day(chance) - EPOCH).days
        days = [first, first + chance.choice((0, 1, 9, -1))]
        if chance.random() < 0.1:
            days[chance.randrange(2)] = _nasty_day(chance)
        codes = {name: chance.choice((*CODES, "")) if at < 3 else "" for at, name in enumerate(names)}
        row = _texts(chance, {"patient_id": _patient(chance), "claim_id": f"c{n // 2}", **codes}, kinds)
        version = chance.choice((9, 10, 10, 9, 10, 9, None, 0, -1, 99, 2**31 - 1))
        return row | {"admit_date": days[0], "discharge_date": days[1], "icd_version": version}

    rows = [row(n) for n in range(number)]
    typed = {name: pa.array([of[name] for of in rows], pa.string()) for name in kinds}
    for name in ("admit_date", "discharge_date"):
        typed[name] = pa.array([of[name] for of in rows], pa.int32()).cast(pa.date32())
    typed["icd_version"] = pa.array([of["icd_version"] for of in rows], pa.int32())
    os.makedirs(f"{folder}/claims")
    pq.write_table(pa.table(typed), f"{folder}/claims/0.parquet", row_group_size=5000)
    return folder, reading.plain_claims(rows, len(names))


def _meds(chance: random.Random, number: int, folder: str) -> tuple[str, Judged]:
    kinds = {"code": CODE, "hadm_id": ID}
    starts = ("ICD10CM//", "ICD9CM//", "ICD10CM/", "LAB//", "ICD10PCS//", "ICD10CM")

    def row(n: int) -> dict:
        code = "MEDS_BIRTH" if n % 500 == 0 else f"{chance.choice(starts)}{chance.choice(CODES)}"
        fields = _texts(chance, {"code": code, "hadm_id": chance.choice((str(n // 4), "", "0"))}, kinds)
        if fields["code"] is None or chance.random() < 0.2:
            fields["code"] = f"ICD10CM//{(fields['code'] or '').removeprefix('ICD10CM//')}"
        day = (_day(chance) - EPOCH).days if chance.random() < 0.95 else _nasty_day(chance)
        # Times in Parquet are microseconds in 64 bits: some 290,000 years.
        day = None if day is None else max(min(day, 90_000_000), -90_000_000)
        subject = int(_patient(chance)) if chance.random() < 0.99 else chance.choice((None, 0, -5, 2**63 - 1))
        return fields | {"subject_id": subject, "day": day}

    rows = [row(n) for n in range(number)]
    micros = [
        None if of["day"] is None else of["day"] * 86_400_000_000 + chance.randrange(86_400_000_000)
        for of in rows
    ]
    table = {
        "subject_id": pa.array([of["subject_id"] for of in rows], pa.int64()),
        "time": pa.array(micros, pa.int64()).cast(pa.timestamp("us")),
        "code": pa.array([of["code"] for of in rows], pa.string()),
        "numeric_value": pa.nulls(number, pa.float32()),
        "hadm_id": pa.array([of["hadm_id"] for of in rows], pa.string()),
    }
    os.makedirs(f"{folder}/data/train")
    pq.write_table(pa.table(table), f"{folder}/data/train/0.parquet")
    return folder, reading.meds(rows)


SOURCES: dict[str, tuple[Write, dict]] = {
    "medbert": (_medbert, {"source": "medbert"}),
    "omop": (_omop, {"source": "omop"}),
    "meds": (_meds, {"source": "meds"}),
    "claims": (_plain_claims, {"source": "claims"}),
    "mapped_claims": (_mapped_claims, {"source": "claims", "claims": None}),
}


def main(arguments: Sequence[str] | None = None) -> int:
    from spark_jobs.session import SETTINGS

    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.raw_rows", description="Mutated rows through ingest."
    )
    parser.add_argument("--source", choices=[*SOURCES, "all"], default="all")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").appName("fuzz")
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    for name, value in (SETTINGS | quiet).items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    print("| source | rows | used | rejected | tracebacks | silently different | contract broken |")
    print("|---|---|---|---|---|---|---|")
    good = True
    for name in SOURCES if options.source == "all" else [options.source]:
        with tempfile.TemporaryDirectory() as folder:
            result = run_source(spark, name, options.rows, options.seed, folder)
        print(result, flush=True)
        for line in [*result.examples, *result.trace.splitlines()[-30:]]:
            print("   ", line, file=sys.stderr)
        good &= result.is_good
    spark.stop()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
