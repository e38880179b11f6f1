"""MEDS, the Medical Event Data Standard: one row an event (subject_id, time, code, numeric_value), Parquet.

Events whose code begins with a system that is read, `ICD10CM//E11.9` or `ICD10CM/E11.9`, are read; all others
are counted. A time is its own zone's, or UTC's. Where the data have a visit's id, the visit lasts from the
first to the last day of its events, of any code; an event of no visit is a visit of one day. The birth date
is that of the event MEDS_BIRTH.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa
from flexible_schema import SchemaValidationError
from meds import DataSchema, birth_code, data_subdirectory
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import StringType, TimestampNTZType, TimestampType

from schemas.codes import ICD9CM, ICD10CM
from schemas.errors import ContractError
from spark_jobs.sources.columns import column
from spark_jobs.sources.raw import (
    RawDiagnoses,
    id_unreadable,
    raw_diagnoses,
    require_columns,
    row_unreadable,
    with_plain_ids,
)
from spark_jobs.sources.tables import RawInput
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
from spark_jobs.transforms.ids import named_visit

COLUMNS = ("subject_id", "time", "code")
VISIT_COLUMNS = ("visit_id", "hadm_id", "encounter_id")
NO_VISIT = "day_is_visit"


@dataclass(frozen=True)
class MedsOptions:
    """Options of source meds.

    Args:
        systems: what a code begins with, letter by letter, and the code system that this means, e.g.
            {DIAGNOSIS//ICD//10//: ICD10CM, PROCEDURE//ICD//10//: ICD10PCS, "ICD10CM:": ICD10CM}; any system
            of schemas.codes, with its form checked, or another name. Slashes that follow are no part of the
            code. Of several beginnings the longest counts.
        visit: column with the visit's id; without it visit_id, hadm_id or encounter_id, if there.
    """

    systems: dict[str, str] = field(default_factory=lambda: {ICD9CM: ICD9CM, ICD10CM: ICD10CM})
    visit: str | None = None


def read(raw: RawInput, options: MedsOptions = MedsOptions()) -> RawDiagnoses:
    """Read a MEDS data set: its folder, the folder `data` in it, or a file.

    Raises ContractError where the columns are not those of MEDS. Flag: `day_is_visit`, events of no visit.
    Count: `rows_of_other_codes`.
    """
    table = _read(raw, [*COLUMNS, options.visit.lower()] if options.visit else COLUMNS)
    _check_schema(table, raw.uri)
    if options.visit:
        require_columns(table, [options.visit.lower()], raw.uri)
    there = [name for name in VISIT_COLUMNS if name in table.columns]
    visit = options.visit.lower() if options.visit else there[0] if there else None

    table = with_plain_ids(table, ["subject_id", *([visit] if visit else [])])
    events = table.withColumns(
        {
            "patient_id": F.col("subject_id").cast("string"),
            "visit": named_visit(empty_as_null(column(visit).cast("string")))
            if visit
            else F.lit(None).cast("string"),
            "day": F.col("time").cast("date"),
        }
    )
    system, code = _system_and_code(options)
    counts = table.agg(
        F.count_if(system.isNotNull()).alias(SOURCE_ROWS),
        F.count_if(system.isNull()).alias("rows_of_other_codes"),
    )
    chosen = events.withColumns({"system": system, "own_code": code}).where(system.isNotNull())
    rows = _with_births(_with_stays(chosen, events) if visit else chosen, events)
    said = {
        PATIENT: F.col("patient_id"),
        VISIT: F.col("visit"),
        ADMIT: F.coalesce("first_day", "day") if visit else F.col("day"),
        DISCHARGE: F.coalesce("last_day", "day") if visit else F.col("day"),
        SYSTEM: F.col("system"),
        BIRTH_DATE: F.col(BIRTH_DATE),
        NO_VISIT: F.col("visit").isNull(),
    }
    shown = [*COLUMNS, *([visit] if visit else [])]
    said[SET_ASIDE] = F.coalesce(row_unreadable(rows, shown), id_unreadable("subject_id", visit))
    parameters = {"meds": asdict(options)}
    codes = {"code": "own_code"}
    saying = {
        PATIENT: ("subject_id",),
        VISIT: (visit,) if visit else (),
        ADMIT: ("time",),
        DISCHARGE: ("time",),
        CODES: ("code",),
    }
    return raw_diagnoses(
        rows, said, codes, shown, (counts,), (NO_VISIT,), parameters=parameters, columns=saying
    )


def _read(raw: RawInput, needed: Collection[str]) -> DataFrame:
    raw.require()
    if not raw.is_path:
        return raw.read(needed=needed)
    inner = data_subdirectory if raw.folder.is_folder(data_subdirectory) else None
    # MEDS keeps shards in folders of any depth, e.g. data/train/0.parquet.
    return replace(raw, options={"recursiveFileLookup": "true", **raw.options}).read(inner, needed=needed)


def _check_schema(table: DataFrame, where: str) -> None:
    """The columns against the schema of the package meds.

    Spark has one type of text, Arrow has several; and of times a zone and a unit are Spark's own, not the
    file's.
    """
    wanted = DataSchema.schema()
    fields = []
    for found in table.schema:
        if found.name not in wanted.names:  # MEDS lets a table have more columns, of any type
            continue
        if isinstance(found.dataType, StringType):
            kind = wanted.field(found.name).type
        elif isinstance(found.dataType, (TimestampType, TimestampNTZType)):
            kind = pa.timestamp("us")
        else:
            kind = to_arrow_type(found.dataType)
        fields.append(pa.field(found.name, kind))
    try:
        DataSchema.validate(pa.schema(fields))
    except SchemaValidationError as error:
        raise ContractError(
            f"{where} is not MEDS data: {' '.join(str(error).split())}",
            "the columns are those of the MEDS data schema",
            "check --input, or mend the columns",
        ) from error


def _system_and_code(options: MedsOptions) -> tuple[Column, Column]:
    """The system that a code's beginning means, null for another one, and the rest without its slashes."""
    text = trim(F.col("code"))
    system, code = F.lit(None).cast("string"), F.lit(None).cast("string")
    # Longer beginnings last, so that they win.
    for start, name in sorted(options.systems.items(), key=lambda item: len(item[0])):
        begins = F.startswith(text, F.lit(start))
        rest = F.ltrim(F.substring(text, F.lit(len(start) + 1), F.length(text)), F.lit("/"))
        system = F.when(begins, F.lit(name)).otherwise(system)
        code = F.when(begins, rest).otherwise(code)
    return system, code


def _with_stays(chosen: DataFrame, events: DataFrame) -> DataFrame:
    stays = (
        events.where(F.col("visit").isNotNull() & F.col("day").isNotNull())
        .groupBy(F.col("patient_id").alias("stay_patient"), F.col("visit").alias("stay_id"))
        .agg(F.min("day").alias("first_day"), F.max("day").alias("last_day"))
    )
    same = (F.col("patient_id") == F.col("stay_patient")) & (F.col("visit") == F.col("stay_id"))
    return chosen.join(stays, same, "left")


def _with_births(chosen: DataFrame, events: DataFrame) -> DataFrame:
    born = (
        events.where(F.col("code") == birth_code)
        .groupBy(F.col("patient_id").alias("born_patient"))
        .agg(F.min("day").alias(BIRTH_DATE))
    )
    return chosen.join(born, F.col("patient_id") == F.col("born_patient"), "left")
