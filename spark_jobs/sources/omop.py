"""OMOP CDM 5.x: conditions, and when asked drugs and procedures, with visit_occurrence and person.

An event's source code is taken, not its standard concept: Med-BERT reads ICD codes. Its system is the
vocabulary of its source concept, where the folder has a table `concept` that knows it. Else:

- Concept ids from 2,000,000,000 are a site's own codes, of no known system.
- Conditions with ids from 44,819,000 to 44,838,000, OMOP's own range of it, are of ICD-9-CM.
- The system of any other event is the one that the options name for its domain.
- Without such an option a condition with a concept is of ICD-10-CM, whose ids have no range of their own; a
  procedure whose code only ICD-10-PCS could have is of it, and so is a drug's of NDC.

An event to which none of this applies, as a condition with concept 0 ("no matching concept"), is rejected as
`code_system_unknown`. Rows whose system is that of an option or of the last rule are counted as
`system_assumed`. OMOP has no order of events inside a visit: ours is by code.

An event's visit is the one with its id and its person in visit_occurrence. Where there is none (id 0, as some
write for no visit, or the visit of another person), the event has no visit, and its own dates.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from functools import partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.codes import ICD9CM, ICD10CM, ICD10PCS, NDC, SYSTEMS
from spark_jobs.checks import check_choice
from spark_jobs.sources.raw import (
    RawDiagnoses,
    as_text,
    id_unreadable,
    own_name,
    raw_diagnoses,
    require_columns,
    row_unreadable,
    with_plain_ids,
)
from spark_jobs.sources.tables import CORRUPT, RawInput
from spark_jobs.transforms.codes import empty_as_null, trim
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
from spark_jobs.transforms.ids import as_bigint

NUMBERS = re.compile(r".*_id|(year|month|day)_of_birth")
VISITS = "visit_occurrence"
PERSONS = "person"
CONCEPTS = "concept"
CONDITION = "condition"
CODE = "__code"
PERSON_ID, VISIT_ID = "person_id", "visit_occurrence_id"
VISIT_COLUMNS = (VISIT_ID, PERSON_ID, "visit_start_date", "visit_end_date")
CONCEPT_COLUMNS = ("concept_id", "vocabulary_id")
ICD9CM_CONCEPTS = (44_819_000, 44_838_000)
FIRST_LOCAL_CONCEPT = 2_000_000_000
ASSUMED = "system_assumed"
FLAGS = (ASSUMED, "dates_of_condition", "visit_unknown")


@dataclass(frozen=True)
class Domain:
    """A table of events and its columns.

    end: may be absent, as it is before CDM 5.4 for procedures. system, unmistakable: a code system, and the
    form of those of its codes, in capitals, that no other source code of the domain has; "" for none.
    """

    table: str
    prefix: str
    start: str
    end: str
    system: str
    unmistakable: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (PERSON_ID, self.start, self.type, VISIT_ID, self.code, self.concept)

    @property
    def type(self) -> str:
        return f"{self.prefix}_type_concept_id"

    @property
    def code(self) -> str:
        return f"{self.prefix}_source_value"

    @property
    def concept(self) -> str:
        return f"{self.prefix}_source_concept_id"


# ICD-9-CM's V and E codes have ICD-10-CM's form. Of seven digits, SNOMED's do not begin with 0.
DOMAINS = {
    CONDITION: Domain(
        "condition_occurrence", "condition", "condition_start_date", "condition_end_date", ICD10CM, ""
    ),
    "drug": Domain(
        "drug_exposure",
        "drug",
        "drug_exposure_start_date",
        "drug_exposure_end_date",
        NDC,
        SYSTEMS[NDC].pattern,
    ),
    "procedure": Domain(
        "procedure_occurrence",
        "procedure",
        "procedure_date",
        "procedure_end_date",
        ICD10PCS,
        f"(?![1-9][0-9]{{6}})(?:{SYSTEMS[ICD10PCS].pattern})",
    ),
}


@dataclass(frozen=True)
class OmopOptions:
    """Options of source omop.

    Args:
        condition_types: condition_type_concept_ids to read, e.g. [32821] for billing diagnoses; empty reads
            all.
        domains: what to read: condition, drug, procedure.
        condition_system: system of conditions that do not say theirs, e.g. ICD10CM where all are coded in
            it; counted as `system_assumed`. Without it they are rejected.
        drug_system: the same for drugs, e.g. RXNORM.
        procedure_system: the same for procedures, e.g. CPT4.
    """

    condition_types: list[int] = field(default_factory=list)
    domains: list[str] = field(default_factory=lambda: [CONDITION])
    condition_system: str | None = None
    drug_system: str | None = None
    procedure_system: str | None = None

    def system_of(self, domain: str) -> str | None:
        """The system that was chosen for a domain's codes that do not say theirs."""
        return {
            CONDITION: self.condition_system,
            "drug": self.drug_system,
            "procedure": self.procedure_system,
        }[domain]


def read(raw: RawInput, options: OmopOptions = OmopOptions()) -> RawDiagnoses:
    """Read OMOP tables. Raises ContractError for a missing table or column, or an unknown domain.

    Flags: `system_assumed` (see above), `dates_of_condition` (no such visit: the event's own dates are
    taken), `visit_unknown` (of these, a visit is named that the visit table lacks, or has for another
    person). Counts: `rows_of_other_types`, `persons_unknown`, persons who are not in the person table.
    """
    check_choice("omop.domains", options.domains, list(DOMAINS))
    domains = {name: DOMAINS[name] for name in options.domains}
    needed = {domain.table: domain.columns for domain in domains.values()}
    needed |= {VISITS: VISIT_COLUMNS, PERSONS: (PERSON_ID,)}
    tables = {name: _text_alone(rows) for name, rows in raw.tables(needed).items()}
    for name, columns in needed.items():
        require_columns(tables[name], columns, name)
    concepts = None
    if raw.has_table(CONCEPTS):
        # Athena's tables have tabs, and no quotes around their names, which may have quotes in them.
        found = raw.tables({CONCEPTS: CONCEPT_COLUMNS}, tabs_are_plain=True)
        concepts = _text_alone(found[CONCEPTS])

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
            _entries(_with_systems(rows[name], name, domain, concepts, options), domain, tables[VISITS])
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


def _text_alone(rows: DataFrame) -> DataFrame:
    """Every column as text; ids and other whole numbers of one spelling, whichever type they have."""
    columns = [name for name in rows.columns if name != CORRUPT]
    return as_text(with_plain_ids(rows, [name for name in columns if NUMBERS.fullmatch(name)]), columns)


def _saying(domains: Collection[Domain]) -> dict[str, tuple[str, ...]]:
    """RawDiagnoses.columns. Dates of a visit that is known are those of its table."""
    return {
        PATIENT: (PERSON_ID,),
        VISIT: (VISIT_ID,),
        ADMIT: (VISIT_ID, *(domain.start for domain in domains)),
        DISCHARGE: (VISIT_ID, *(domain.end for domain in domains)),
        SYSTEM: tuple(domain.concept for domain in domains),
        CODES: tuple(domain.code for domain in domains),
    }


def _is_chosen(name: str, options: OmopOptions) -> Column:
    if name != CONDITION or not options.condition_types:
        return F.lit(True)
    types = [str(number) for number in options.condition_types]
    chosen = F.coalesce(trim(F.col(DOMAINS[name].type)).isin(types), F.lit(False))
    # A line that cannot be split into fields has no type to go by, and is set aside.
    return chosen | F.col(CORRUPT).isNotNull()


def _with_systems(
    events: DataFrame, name: str, domain: Domain, concepts: DataFrame | None, options: OmopOptions
) -> DataFrame:
    """Adds SYSTEM, null where it is not known, and whether it is ASSUMED."""
    concept = as_bigint(F.col(domain.concept))
    known = F.lit(None).cast("string")
    if concepts is not None:
        events, known = _with_vocabulary(events, domain, concepts), F.col("vocabulary")
    is_own = F.coalesce(concept >= FIRST_LOCAL_CONCEPT, F.lit(False))
    if name == CONDITION:
        known = F.coalesce(known, F.when(concept.between(*ICD9CM_CONCEPTS), ICD9CM))
    if chosen := options.system_of(name):
        assumed = F.lit(chosen)
    elif domain.unmistakable:
        code = F.upper(trim(F.col(domain.code)))
        assumed = F.when(F.rlike(code, F.lit(rf"\A(?:{domain.unmistakable})\z")), domain.system)
    else:
        assumed = F.when(concept > 0, domain.system)
    assumed = F.when(~is_own, assumed)
    return events.withColumns(
        {SYSTEM: F.coalesce(known, assumed), ASSUMED: known.isNull() & assumed.isNotNull()}
    )


def _entries(events: DataFrame, domain: Domain, visits: DataFrame) -> DataFrame:
    visit_id, person_id = (empty_as_null(F.col(name)) for name in (VISIT_ID, PERSON_ID))
    stays = visits.where(F.col(CORRUPT).isNull() & visit_id.isNotNull()).select(
        visit_id.alias("stay_id"),
        person_id.alias("stay_person"),
        F.col("visit_start_date").alias("stay_start"),
        F.col("visit_end_date").alias("stay_end"),
    )
    rows = events.withColumns(
        {VISIT: visit_id, PATIENT: person_id}
        | ({} if domain.end in events.columns else {domain.end: F.lit(None).cast("string")})
    )
    same = (F.col(VISIT) == F.col("stay_id")) & (F.col(PATIENT) == F.col("stay_person"))
    joined = rows.join(stays, same, "left")
    has_stay = F.col("stay_id").isNotNull()
    own_end = F.coalesce(empty_as_null(F.col(domain.end)), F.col(domain.start))
    return joined.select(
        *domain.columns,
        *(name for name in map(own_name, domain.columns) if name in rows.columns),
        domain.end,
        CORRUPT,
        PATIENT,
        F.col("stay_id").alias(VISIT),
        F.when(has_stay, F.col("stay_start")).otherwise(F.col(domain.start)).alias(ADMIT),
        F.when(has_stay, F.col("stay_end")).otherwise(own_end).alias(DISCHARGE),
        SYSTEM,
        ASSUMED,
        F.col(domain.code).alias(CODE),
        F.coalesce(
            row_unreadable(rows, [*domain.columns, domain.end]), id_unreadable(PERSON_ID, VISIT_ID)
        ).alias(SET_ASIDE),
        (~has_stay).alias("dates_of_condition"),
        (~has_stay & F.col(VISIT).isNotNull()).alias("visit_unknown"),
    )


def _with_vocabulary(events: DataFrame, domain: Domain, concepts: DataFrame) -> DataFrame:
    """Adds the `vocabulary` of the source concept (`RxNorm` is RXNORM); null where it is not known."""
    require_columns(concepts, CONCEPT_COLUMNS, CONCEPTS)
    number = as_bigint(F.col("concept_id"))
    name = F.upper(F.replace(empty_as_null(F.col("vocabulary_id")), F.lit(" "), F.lit("_")))
    # Concept 0 is "no matching concept", of vocabulary None; a site's own vocabulary is no code system.
    known = concepts.where((number > 0) & (number < FIRST_LOCAL_CONCEPT)).select(
        number.alias("known_concept"), name.alias("vocabulary")
    )
    same = as_bigint(F.col(domain.concept)) == F.col("known_concept")
    return events.join(known, same, "left")


def _with_births(events: DataFrame, persons: DataFrame) -> DataFrame:
    """`birth_date` from the person table; of a year alone its first day, of a month likewise."""
    if "year_of_birth" not in persons.columns:
        return events.withColumn(BIRTH_DATE, F.lit(None).cast("date"))

    def number(name: str, digits: int) -> Column:
        text = trim(F.col(name)) if name in persons.columns else F.lit(None).cast("string")
        # A longer one would be cut off.
        return F.lpad(F.when(F.rlike(text, F.lit(rf"\A[0-9]{{1,{digits}}}\z")), text), digits, "0")

    def part(name: str) -> Column:
        return F.coalesce(number(name, 2), F.lit("01"))

    year = number("year_of_birth", 4)
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
