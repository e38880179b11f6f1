"""OMOP CDM 5.x: conditions, and when asked drugs and procedures, with visit_occurrence and person.

An event's source code is taken, not its standard concept: Med-BERT reads ICD codes. Its system is the
vocabulary of its source concept, where the folder has a table `concept` that knows it; else the domain's
own. For conditions that is ICD-9-CM for concept ids from 44,819,000 to 44,838,000, OMOP's own range of it,
and ICD-10-CM for the others; ids above 2,000,000,000 are a site's own codes, of no known system. What has
not its system's form is set aside. OMOP has no order of events inside a visit: ours is by code.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from functools import partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.codes import ICD9CM, ICD10CM
from spark_jobs.checks import check_choice
from spark_jobs.sources.raw import RawDiagnoses, as_text, raw_diagnoses, require_columns, row_unreadable
from spark_jobs.sources.tables import CORRUPT, RawInput
from spark_jobs.transforms.codes import empty_as_null
from spark_jobs.transforms.diagnoses import (
    ADMIT,
    BIRTH_DATE,
    CODES,
    DISCHARGE,
    PATIENT,
    SET_ASIDE,
    SOURCE_ROWS,
    SYSTEM,
    VISIT,
)

VISITS = "visit_occurrence"
PERSONS = "person"
CONCEPTS = "concept"
CONDITION = "condition"
CODE = "__code"
VISIT_COLUMNS = ("visit_occurrence_id", "visit_start_date", "visit_end_date")
CONCEPT_COLUMNS = ("concept_id", "vocabulary_id")
ICD9CM_CONCEPTS = (44_819_000, 44_838_000)
FIRST_LOCAL_CONCEPT = 2_000_000_000
FLAGS = ("dates_of_condition", "visit_unknown")


@dataclass(frozen=True)
class Domain:
    """A table of events and its columns. end: may be absent, as it is before CDM 5.4 for procedures."""

    table: str
    prefix: str
    start: str
    end: str

    @property
    def columns(self) -> tuple[str, ...]:
        return ("person_id", self.start, self.type, "visit_occurrence_id", self.code, self.concept)

    @property
    def type(self) -> str:
        return f"{self.prefix}_type_concept_id"

    @property
    def code(self) -> str:
        return f"{self.prefix}_source_value"

    @property
    def concept(self) -> str:
        return f"{self.prefix}_source_concept_id"


DOMAINS = {
    CONDITION: Domain("condition_occurrence", "condition", "condition_start_date", "condition_end_date"),
    "drug": Domain("drug_exposure", "drug", "drug_exposure_start_date", "drug_exposure_end_date"),
    "procedure": Domain("procedure_occurrence", "procedure", "procedure_date", "procedure_end_date"),
}


@dataclass(frozen=True)
class OmopOptions:
    """Options of source omop.

    Args:
        condition_types: condition_type_concept_ids to read, e.g. [32821] for billing diagnoses; empty reads
            all.
        domains: what to read: condition, drug, procedure.
        drug_system: system of drug codes whose vocabulary is not known, e.g. RXNORM.
        procedure_system: system of procedure codes whose vocabulary is not known, e.g. CPT4.
    """

    condition_types: list[int] = field(default_factory=list)
    domains: list[str] = field(default_factory=lambda: [CONDITION])
    drug_system: str = "NDC"
    procedure_system: str = "ICD10PCS"


def read(raw: RawInput, options: OmopOptions = OmopOptions()) -> RawDiagnoses:
    """Read OMOP tables. Raises ContractError for a missing table or column, or an unknown domain.

    Flags: `dates_of_condition` (no such visit: the event's own dates stand in), `visit_unknown` (of these, a
    visit is named that the visit table lacks). Counts: `rows_of_other_types`, `persons_unknown`, persons who
    are not in the person table.
    """
    check_choice("omop.domains", options.domains, list(DOMAINS))
    domains = {name: DOMAINS[name] for name in options.domains}
    needed = {domain.table: domain.columns for domain in domains.values()}
    needed |= {VISITS: VISIT_COLUMNS, PERSONS: ("person_id",)}
    tables = raw.tables(needed)
    tables = {name: as_text(rows, [c for c in rows.columns if c != CORRUPT]) for name, rows in tables.items()}
    for name, columns in needed.items():
        require_columns(tables[name], columns, name)
    concepts = None
    if raw.has_table(CONCEPTS):
        # Athena's tables have tabs, and no quotes around their names, which may have quotes in them.
        concepts = raw.tables({CONCEPTS: CONCEPT_COLUMNS}, tabs_are_plain=True)[CONCEPTS]

    chosen = {name: _is_chosen(name, options) for name in domains}
    counts = [
        tables[domain.table].agg(
            F.count_if(chosen[name]).alias(SOURCE_ROWS),
            F.count_if(~chosen[name]).alias("rows_of_other_types"),
        )
        for name, domain in domains.items()
    ]
    rows = {name: tables[domain.table].where(chosen[name]) for name, domain in domains.items()}
    events = reduce(
        partial(DataFrame.unionByName, allowMissingColumns=True),
        (
            _entries(rows[name], domain, tables[VISITS], concepts, _system(name, domain, options))
            for name, domain in domains.items()
        ),
    )
    patients = reduce(DataFrame.unionByName, (found.select("person_id") for found in rows.values()))
    known = tables[PERSONS].select(empty_as_null(F.col("person_id")).alias("person_id"))
    unknown = (
        patients.select(empty_as_null(F.col("person_id")).alias("person_id"))
        .dropna()
        .distinct()
        .join(known, "person_id", "left_anti")
    )
    events = _with_births(events, tables[PERSONS])
    said = {
        name: F.col(name)
        for name in (PATIENT, VISIT, ADMIT, DISCHARGE, SYSTEM, SET_ASIDE, BIRTH_DATE, *FLAGS)
    }
    shown = [*(name for domain in domains.values() for name in (*domain.columns, domain.end)), CORRUPT]
    return raw_diagnoses(
        events,
        said,
        {CODE: CODE},
        shown,
        (_sum(counts), unknown.agg(F.count("*").alias("persons_unknown"))),
        FLAGS,
        parameters={"omop": asdict(options)},
        columns=_saying(domains.values()),
    )


def _saying(domains: Collection[Domain]) -> dict[str, tuple[str, ...]]:
    """RawDiagnoses.columns. Dates of a visit that is known are those of its table."""
    return {
        PATIENT: ("person_id",),
        ADMIT: ("visit_occurrence_id", *(domain.start for domain in domains)),
        DISCHARGE: ("visit_occurrence_id", *(domain.end for domain in domains)),
        SYSTEM: tuple(domain.concept for domain in domains),
        CODES: tuple(domain.code for domain in domains),
    }


def _is_chosen(name: str, options: OmopOptions) -> Column:
    if name != CONDITION or not options.condition_types:
        return F.lit(True)
    types = [str(number) for number in options.condition_types]
    chosen = F.coalesce(F.trim(DOMAINS[name].type).isin(types), F.lit(False))
    # A line that cannot be split into fields has no type to go by, and is set aside.
    return chosen | F.col(CORRUPT).isNotNull()


def _system(name: str, domain: Domain, options: OmopOptions) -> Column:
    """The code system of an event whose source concept is not in the concept table."""
    concept = F.col(domain.concept).try_cast("bigint")
    default = {"drug": options.drug_system, "procedure": options.procedure_system}.get(name, ICD10CM)
    icd9 = concept.between(*ICD9CM_CONCEPTS) & F.lit(name == CONDITION)
    return F.when(icd9, ICD9CM).when(concept >= FIRST_LOCAL_CONCEPT, F.lit(None)).otherwise(default)


def _entries(
    events: DataFrame, domain: Domain, visits: DataFrame, concepts: DataFrame | None, system: Column
) -> DataFrame:
    visit_id = empty_as_null(F.col("visit_occurrence_id"))
    stays = visits.where(F.col(CORRUPT).isNull() & visit_id.isNotNull()).select(
        visit_id.alias("stay_id"),
        F.col("visit_start_date").alias("stay_start"),
        F.col("visit_end_date").alias("stay_end"),
    )
    rows = events.withColumns(
        {VISIT: visit_id, SYSTEM: system}
        | ({} if domain.end in events.columns else {domain.end: F.lit(None).cast("string")})
    )
    joined = rows.join(stays, F.col(VISIT) == F.col("stay_id"), "left")
    if concepts is not None:
        joined = _with_vocabulary(joined, domain, concepts)
    has_stay = F.col("stay_id").isNotNull()
    own_end = F.coalesce(empty_as_null(F.col(domain.end)), F.col(domain.start))
    return joined.select(
        *domain.columns,
        domain.end,
        CORRUPT,
        empty_as_null(F.col("person_id")).alias(PATIENT),
        VISIT,
        F.when(has_stay, F.col("stay_start")).otherwise(F.col(domain.start)).alias(ADMIT),
        F.when(has_stay, F.col("stay_end")).otherwise(own_end).alias(DISCHARGE),
        SYSTEM,
        F.col(domain.code).alias(CODE),
        row_unreadable(rows, [*domain.columns, domain.end]).alias(SET_ASIDE),
        (~has_stay).alias("dates_of_condition"),
        (~has_stay & F.col(VISIT).isNotNull()).alias("visit_unknown"),
    )


def _with_vocabulary(events: DataFrame, domain: Domain, concepts: DataFrame) -> DataFrame:
    """SYSTEM from the vocabulary of the source concept (`RxNorm` is RXNORM); as before where unknown."""
    require_columns(concepts, CONCEPT_COLUMNS, CONCEPTS)
    number = F.col("concept_id").cast("string").try_cast("bigint")
    name = F.upper(F.replace(empty_as_null(F.col("vocabulary_id")), F.lit(" "), F.lit("_")))
    # Concept 0 is "no matching concept", of vocabulary None; a site's own vocabulary is no code system.
    known = concepts.where((number > 0) & (number < FIRST_LOCAL_CONCEPT)).select(
        number.alias("known_concept"), name.alias("vocabulary")
    )
    same = F.col(domain.concept).try_cast("bigint") == F.col("known_concept")
    return events.join(known, same, "left").withColumn(SYSTEM, F.coalesce("vocabulary", SYSTEM))


def _with_births(events: DataFrame, persons: DataFrame) -> DataFrame:
    """`birth_date` from the person table; of a year alone its first day, of a month likewise."""
    if "year_of_birth" not in persons.columns:
        return events.withColumn(BIRTH_DATE, F.lit(None).cast("date"))

    def part(name: str) -> Column:
        number = empty_as_null(F.col(name)) if name in persons.columns else F.lit(None).cast("string")
        return F.lpad(F.coalesce(number, F.lit("1")), 2, "0")

    year = F.lpad(empty_as_null(F.col("year_of_birth")), 4, "0")
    born = F.concat_ws("-", year, part("month_of_birth"), part("day_of_birth")).try_cast("date")
    known = (
        persons.where(F.col(CORRUPT).isNull())
        .select(
            empty_as_null(F.col("person_id")).alias("born_person"),
            F.when(year.isNotNull(), born).alias(BIRTH_DATE),
        )
        .groupBy("born_person")
        .agg(F.min(BIRTH_DATE).alias(BIRTH_DATE))
    )
    return events.join(known, F.col(PATIENT) == F.col("born_person"), "left").drop("born_person")


def _sum(counts: list[DataFrame]) -> DataFrame:
    """Frames of one row each, with the same columns: one row, added up."""
    every = reduce(DataFrame.unionByName, counts)
    return every.agg(*(F.sum(name).alias(name) for name in every.columns))
