"""What a row of claims says, read through the column map: keys, dates, code system, birth.

Columns that are added start with `__`, beside the raw ones, which stay for the rules on whole rows and for
what is set aside.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, TimestampNTZType, TimestampType

from schemas.codes import ALIASES, PUNCTUATION, system_named
from spark_jobs.sources.claims_map import SINCE, Birth, ClaimsMap, SynthesisedDates, System, plain
from spark_jobs.sources.columns import column, row_hash
from spark_jobs.sources.raw import id_unreadable, require_columns, row_unreadable, with_plain_ids
from spark_jobs.sources.tables import CORRUPT
from spark_jobs.transforms.codes import empty_as_null
from spark_jobs.transforms.diagnoses import (
    ADMIT,
    BIRTH_DATE,
    DISCHARGE,
    ORDERS,
    PATIENT,
    SET_ASIDE,
    VISIT,
)
from spark_jobs.transforms.ids import as_bigint, named_visit
from spark_jobs.transforms.parse import TIME

CLAIM, LINE = "__claim", "__line"
ROW = "__row"  # a hash of the whole raw row
ADMIT_FALLBACK, DISCHARGE_FALLBACK = "admit_date_fallback", "discharge_date_fallback"
ONE_DAY = "outpatient_one_day"
DATE_FLAGS = (ADMIT_FALLBACK, DISCHARGE_FALLBACK, ONE_DAY)

MOST_DAYS = 3_652_059  # from the year 1 to 9999
YEAR = r"\A[0-9]{4}\z"
ISO_DAY = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
SECONDS_A_DAY = 86_400
DATED = (DateType, TimestampType, TimestampNTZType)


def filled(value: Column, claims_map: ClaimsMap) -> Column:
    """As text, trimmed; null where it is empty or one of the map's values for missing."""
    text = empty_as_null(value.cast("string"))
    return F.when(~text.isin(claims_map.missing_values), text) if claims_map.missing else text


def matches(value: Column, patterns: list[str]) -> Column:
    """Whether the whole value has one of the forms; false for null."""
    if not patterns:
        return F.lit(False)
    return F.coalesce(F.rlike(value, F.lit(rf"\A(?:{'|'.join(patterns)})\z")), F.lit(False))


def with_header(lines: DataFrame, headers: DataFrame, claims_map: ClaimsMap) -> DataFrame:
    """Each line with the columns of its header that it lacks. Two headers of one key double the line.

    Where both tables have the patient, the header is one of the line's patient.
    """
    header, patient = claims_map.header, plain(claims_map.patient)
    assert header
    keys = [plain(name) for name in header.on]
    require_columns(lines, keys, "of claim lines")
    require_columns(headers, keys, header.table)
    if patient not in keys and patient in lines.columns and patient in headers.columns:
        keys.append(patient)
    further = [name for name in headers.columns if name not in lines.columns]
    found = headers.where(F.col(CORRUPT).isNull()).select(
        *map(column, further),
        *(filled(column(key), claims_map).alias(f"__of_header_{key}") for key in keys),
    )
    same = [filled(column(key), claims_map) == column(f"__of_header_{key}") for key in keys]
    return lines.join(found, same, "left").select(*map(column, [*lines.columns, *further]))


def with_keys(table: DataFrame, claims_map: ClaimsMap) -> DataFrame:
    """Adds patient, claim, visit, line, order, `__set_aside` and, where rows are compared, their hash.

    A row that cannot be read as it is meant is set aside: no rule on other rows may go by what it says.
    """

    def of(name: str | None) -> Column:
        return filled(column(plain(name)), claims_map) if name else F.lit(None).cast("string")

    ids = (claims_map.patient, claims_map.claim, claims_map.visit)
    keys_of_header = map(plain, claims_map.header.on) if claims_map.header else ()
    rows_are_compared = claims_map.drop_duplicate_lines or claims_map.diagnoses.repeat_on_lines
    return table.withColumns(
        {
            PATIENT: of(claims_map.patient),
            CLAIM: of(claims_map.claim),
            VISIT: named_visit(of(claims_map.visit or claims_map.claim)),
            LINE: of(claims_map.line),
            ORDERS[0]: of(claims_map.diagnoses.order),
            SET_ASIDE: F.coalesce(
                row_unreadable(table, [*claims_map.columns, *keys_of_header]),
                id_unreadable(*(name and plain(name) for name in ids)),
            ),
        }
        | ({ROW: row_hash(table)} if rows_are_compared else {})
    )


def with_dates(lines: DataFrame, claims_map: ClaimsMap) -> DataFrame:
    """Adds admission and discharge, and those of DATE_FLAGS that the map has a rule for."""
    if claims_map.dates:
        lines = _synthesised(lines, claims_map, claims_map.dates)
    else:
        names = [plain(name) for name in (*claims_map.admit, *claims_map.discharge)]
        lines, days = _with_days(lines, names, claims_map)
        admits, discharges = days[: len(claims_map.admit)], days[len(claims_map.admit) :]
        lines = lines.withColumns({ADMIT: F.coalesce(*admits), DISCHARGE: F.coalesce(*discharges)})
        for flag, columns in ((ADMIT_FALLBACK, admits), (DISCHARGE_FALLBACK, discharges)):
            if len(columns) > 1:
                lines = lines.withColumn(flag, columns[0].isNull() & F.coalesce(*columns[1:]).isNotNull())
    if claims_map.inpatient:
        kind = filled(column(plain(claims_map.inpatient.column)), claims_map)
        longer = ~matches(kind, claims_map.inpatient.values) & (F.col(DISCHARGE) > F.col(ADMIT))
        lines = lines.withColumn(ONE_DAY, F.coalesce(longer, F.lit(False)))
        lines = lines.withColumn(DISCHARGE, F.when(F.col(ONE_DAY), F.col(ADMIT)).otherwise(F.col(DISCHARGE)))
    return lines


def code_system(claims_map: ClaimsMap) -> Column:
    """The code system of a row's codes; an array where each code column has its own, in their order."""
    found = [_system(*of, claims_map) for of in claims_map.systems]
    return found[0] if len(found) == 1 else F.array(*found)


def _system(system: System, name: str, claims_map: ClaimsMap) -> Column:
    """As System.meaning."""
    if system.constant:
        return F.lit(system_named(system.constant))
    value = F.coalesce(F.lower(filled(column(name), claims_map)), F.lit(""))
    without = F.upper(F.regexp_replace(value, PUNCTUATION, ""))
    return F.coalesce(
        *(_looked_up(text, of) for text, of in ((value, system.names), (without, ALIASES)) if of)
    )


def _looked_up(text: Column, table: Mapping[str, str]) -> Column:
    return F.try_element_at(F.create_map(*(F.lit(said) for pair in table.items() for said in pair)), text)


def with_births(lines: DataFrame, claims_map: ClaimsMap, patients: DataFrame | None) -> DataFrame:
    """Adds the patient's birth date, of a year its first day; null where it is not known.

    patients: the table that the map names for it; None: the claims' own. Of several dates the earliest.
    """
    birth = claims_map.birth
    if birth is None:
        return lines.withColumn(BIRTH_DATE, F.lit(None).cast("date"))
    if patients is None:
        return _with_birth_date(lines, birth, claims_map)
    key = plain(birth.patient or claims_map.patient)
    require_columns(patients, [key, plain(birth.column)], birth.table or "")
    patients = with_plain_ids(patients, [key, plain(birth.column)])
    known = (
        _with_birth_date(patients.where(F.col(CORRUPT).isNull()), birth, claims_map)
        .select(filled(column(key), claims_map).alias("__born"), BIRTH_DATE)
        .groupBy("__born")
        .agg(F.min(BIRTH_DATE).alias(BIRTH_DATE))
    )
    return lines.join(known, F.col(PATIENT) == F.col("__born"), "left").drop("__born")


def _with_birth_date(rows: DataFrame, birth: Birth, claims_map: ClaimsMap) -> DataFrame:
    """Adds BIRTH_DATE."""
    name = plain(birth.column)
    rows, (day,) = _with_days(rows, [name], claims_map)
    year = filled(column(name), claims_map)
    first_day = F.when(F.rlike(year, F.lit(YEAR)), F.concat(year, F.lit("-01-01")))
    born = F.coalesce(first_day, day.cast("string"))
    # What is no day in our form is none that Spark may guess.
    return rows.withColumn(BIRTH_DATE, F.when(F.rlike(born, F.lit(ISO_DAY)), born.try_cast("date")))


def _with_days(rows: DataFrame, names: list[str], claims_map: ClaimsMap) -> tuple[DataFrame, list[Column]]:
    """Adds the days of columns; (the rows, a column each), null where they are missing.

    Dates, if all are dates or time stamps; else text, YYYY-MM-DD or, where it has not the map's form, as it
    is, to be found unreadable.
    """
    dated = [name for name in dict.fromkeys(names) if isinstance(rows.schema[name].dataType, DATED)]
    texts = [name for name in dict.fromkeys(names) if name not in dated]
    days = {name: f"__day_of_{name}" for name in names}
    # Step by step: what an expression has twice, Spark compiles and works out twice.
    rows = rows.withColumns({days[name]: column(name).cast("date") for name in dated})
    rows = rows.withColumns({days[name]: filled(column(name), claims_map) for name in texts})
    rows = rows.withColumns({days[name]: _day(column(days[name]), claims_map) for name in texts})
    if claims_map.missing:
        rows = rows.withColumns(
            {day: _unless_missing(column(day), name in dated, claims_map) for name, day in days.items()}
        )
    kind = "string" if texts else "date"
    return rows, [column(days[name]).cast(kind) for name in names]


def _unless_missing(day: Column, is_date: bool, claims_map: ClaimsMap) -> Column:
    days = F.array(*(_day(F.lit(value), claims_map).try_cast("date") for value in claims_map.missing))
    days = F.array_compact(days) if is_date else F.array_compact(days).cast("array<string>")
    return F.when(~F.coalesce(F.array_contains(days, day), F.lit(False)), day)


def _day(text: Column, claims_map: ClaimsMap) -> Column:
    """YYYY-MM-DD of text in the map's form, or in that one with a time; other text as it is."""
    ours = F.regexp_replace(text, rf"\A([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){TIME}\z", "$1")
    date_format = claims_map.date_format
    if not date_format:
        return ours
    counted = SINCE.fullmatch(date_format)
    if not counted:
        return F.coalesce(F.try_to_date(text, date_format).cast("string"), ours)
    number = as_bigint(text)
    if counted[1] == "seconds":
        number = F.floor(number / SECONDS_A_DAY)
    known = F.when(number.between(-MOST_DAYS, MOST_DAYS), number).cast("int")
    return F.coalesce(F.date_add(F.lit(counted[2]).cast("date"), known).cast("string"), ours)


def _synthesised(lines: DataFrame, claims_map: ClaimsMap, rule: SynthesisedDates) -> DataFrame:
    """A patient's visits one after another: admission = base + the stays before, a gap after each.

    A visit's stay is the longest of its lines'. A number of days beyond MOST_DAYS is none.
    """
    days = as_bigint(filled(column(plain(rule.length_of_stay)), claims_map))
    number = as_bigint(filled(column(plain(rule.order_by)), claims_map))
    of_patient = Window.partitionBy(PATIENT).orderBy("__order_by")
    of_visit = of_patient.rangeBetween(Window.currentRow, Window.currentRow)
    lines = lines.withColumns(
        {
            "__order_by": F.when(F.col(SET_ASIDE).isNull(), number),
            "__stay": F.when(days.between(-MOST_DAYS, MOST_DAYS), days),
        }
    ).withColumn("__stay", F.max("__stay").over(of_visit))
    order, stay = F.col("__order_by"), F.col("__stay")
    # Lines of one visit have one number: only the first counts.
    is_first = ~F.lag(order).over(of_patient).eqNullSafe(order)
    lines = lines.withColumn(
        "__days", F.when(is_first, F.greatest(F.coalesce(stay, F.lit(0)), F.lit(0)) + rule.gap_days)
    )
    before = F.sum("__days").over(of_patient.rangeBetween(Window.unboundedPreceding, -1))
    # Beyond the calendar it is no date that can be read, however far.
    day = F.least(F.coalesce(before, F.lit(0)), F.lit(MOST_DAYS)).cast("int")
    admit = F.date_add(F.lit(rule.base).cast("date"), F.when(order.isNotNull(), day))
    return lines.withColumn(ADMIT, admit).withColumn(DISCHARGE, F.date_add(F.col(ADMIT), stay.cast("int")))
