"""What a row of claims says, read through the column map: keys, dates, code system, birth.

Columns that are added start with `__`, beside the raw ones, which stay for the rules on whole rows and for
what is set aside.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.sources.claims_map import SAS_DAYS, Birth, ClaimsMap, Header, SynthesisedDates, plain
from spark_jobs.sources.columns import column, row_hash
from spark_jobs.sources.raw import require_columns, row_unreadable
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

CLAIM, LINE = "__claim", "__line"
ROW = "__row"  # a hash of the whole raw row
ADMIT_FALLBACK, DISCHARGE_FALLBACK = "admit_date_fallback", "discharge_date_fallback"
ONE_DAY = "outpatient_one_day"
DATE_FLAGS = (ADMIT_FALLBACK, DISCHARGE_FALLBACK, ONE_DAY)

MOST_DAYS = 3_652_059  # from the year 1 to 9999
YEAR = r"\A[0-9]{4}\z"


def filled(value: Column, claims_map: ClaimsMap) -> Column:
    """As text, trimmed; null where it is empty or one of the map's values for missing."""
    text = empty_as_null(value.cast("string"))
    return F.when(~text.isin(claims_map.missing), text) if claims_map.missing else text


def matches(value: Column, patterns: list[str]) -> Column:
    """Whether the whole value has one of the forms; false for null."""
    if not patterns:
        return F.lit(False)
    return F.coalesce(F.rlike(value, F.lit(rf"\A(?:{'|'.join(patterns)})\z")), F.lit(False))


def with_header(lines: DataFrame, headers: DataFrame, header: Header) -> DataFrame:
    """Each line with the columns of its header that it lacks. Two headers of one key double the line."""
    keys = [plain(name) for name in header.on]
    require_columns(lines, keys, "of claim lines")
    require_columns(headers, keys, header.table)
    further = [name for name in headers.columns if name not in lines.columns]
    found = headers.where(F.col(CORRUPT).isNull()).select(
        *map(column, further),
        *(empty_as_null(column(key).cast("string")).alias(f"__of_header_{key}") for key in keys),
    )
    same = [empty_as_null(column(key).cast("string")) == column(f"__of_header_{key}") for key in keys]
    return lines.join(found, same, "left").select(*map(column, [*lines.columns, *further]))


def with_keys(table: DataFrame, claims_map: ClaimsMap) -> DataFrame:
    """Adds patient, claim, visit, line, order, `__set_aside` and, where rows are compared, their hash.

    A row that cannot be read as it is meant is set aside: no rule on other rows may go by what it says.
    """

    def of(name: str | None) -> Column:
        return filled(column(plain(name)), claims_map) if name else F.lit(None).cast("string")

    keys_of_header = map(plain, claims_map.header.on) if claims_map.header else ()
    rows_are_compared = claims_map.drop_duplicate_lines or claims_map.diagnoses.repeat_on_lines
    return table.withColumns(
        {
            PATIENT: of(claims_map.patient),
            CLAIM: of(claims_map.claim),
            VISIT: of(claims_map.visit or claims_map.claim),
            LINE: of(claims_map.line),
            ORDERS[0]: of(claims_map.diagnoses.order),
            SET_ASIDE: row_unreadable(table, [*claims_map.columns, *keys_of_header]),
        }
        | ({ROW: row_hash(table)} if rows_are_compared else {})
    )


def with_dates(lines: DataFrame, claims_map: ClaimsMap) -> DataFrame:
    """Adds admission and discharge, and those of DATE_FLAGS that the map has a rule for."""
    if claims_map.dates:
        lines = _synthesised(lines, claims_map, claims_map.dates)
    else:
        admits, discharges = (
            _dates(lines, claims_map, side) for side in (claims_map.admit, claims_map.discharge)
        )
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
    """The code system of a row's codes; an array where each diagnosis column has its own, in their order."""
    system = claims_map.system
    if system.constant:
        return F.lit(system.constant)
    meant = meanings(claims_map)
    # A map of Spark's has no entry for null.
    names = F.create_map(*(F.lit(text) for pair in meant.items() for text in pair))

    def of(name: str) -> Column:
        value = F.lower(filled(column(plain(name)), claims_map))
        return F.try_element_at(names, F.coalesce(value, F.lit("")))

    return F.array(*map(of, claims_map.system_columns)) if system.columns else of(system.column or "")


def meanings(claims_map: ClaimsMap) -> dict[str, str]:
    """Value of the system's column, trimmed and in lower case, "" for none → the system that it means."""
    return {spelt.strip().lower(): name for spelt, name in claims_map.system.values.items()}


def with_births(lines: DataFrame, claims_map: ClaimsMap, patients: DataFrame | None) -> DataFrame:
    """Adds the patient's birth date, of a year its first day; null where it is not known.

    patients: the table that the map names for it; None: the claims' own. Of several dates the earliest.
    """
    birth = claims_map.birth
    if birth is None:
        return lines.withColumn(BIRTH_DATE, F.lit(None).cast("date"))
    if patients is None:
        return lines.withColumn(BIRTH_DATE, _birth_date(birth, claims_map))
    key = plain(birth.patient or claims_map.patient)
    require_columns(patients, [key, plain(birth.column)], birth.table or "")
    known = (
        patients.where(F.col(CORRUPT).isNull())
        .select(
            filled(column(key), claims_map).alias("__born"), _birth_date(birth, claims_map).alias(BIRTH_DATE)
        )
        .groupBy("__born")
        .agg(F.min(BIRTH_DATE).alias(BIRTH_DATE))
    )
    return lines.join(known, F.col(PATIENT) == F.col("__born"), "left").drop("__born")


def _birth_date(birth: Birth, claims_map: ClaimsMap) -> Column:
    text = filled(column(plain(birth.column)), claims_map)
    year = F.when(F.rlike(text, F.lit(YEAR)), F.concat(text, F.lit("-01-01")))
    return F.coalesce(year, _iso(text, claims_map)).try_cast("date")


def _dates(lines: DataFrame, claims_map: ClaimsMap, names: list[str]) -> list[Column]:
    """Dates where all of the map's columns are, else text."""
    types = dict(lines.dtypes)
    own = [types[plain(name)] for name in (*claims_map.admit, *claims_map.discharge)]
    if all(kind == "date" or kind.startswith("timestamp") for kind in own):
        return [column(plain(name)).cast("date") for name in names]
    return [
        column(plain(name)).cast("date").cast("string")
        if types[plain(name)].startswith("timestamp")
        else _iso(filled(column(plain(name)), claims_map), claims_map)
        for name in names
    ]


def _iso(text: Column, claims_map: ClaimsMap) -> Column:
    """The date in our form; what has not the map's form stays, to be found unreadable."""
    if not claims_map.date_format:
        return text
    if claims_map.date_format == SAS_DAYS:
        number = text.try_cast("decimal(20, 6)")
        is_day = (number == F.floor(number)) & number.between(-MOST_DAYS, MOST_DAYS)
        day = F.date_add(F.lit("1960-01-01").cast("date"), F.when(is_day, number.cast("int")))
        return F.coalesce(day.cast("string"), text)
    return F.coalesce(F.try_to_date(text, claims_map.date_format).cast("string"), text)


def _synthesised(lines: DataFrame, claims_map: ClaimsMap, rule: SynthesisedDates) -> DataFrame:
    """A patient's visits one after another: admission = base + the stays before, a gap after each.

    A visit's stay is the longest of its lines'. A number of days beyond MOST_DAYS is none.
    """
    days = filled(column(plain(rule.length_of_stay)), claims_map).try_cast("bigint")
    number = filled(column(plain(rule.order_by)), claims_map).try_cast("bigint")
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
