"""Claims of any payer, wide or long, through a column map (claims_map); without one, the generator's layout.

A diagnosis entry is a column of codes that is filled, diagnoses first, then procedures and drugs; the first
column always is one, so that a claim without any diagnosis is set aside rather than lost. Without a visit id
the visit is the claim; the order is that of the columns.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.claims import KIND
from schemas.codes import system_named
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join
from spark_jobs.files.listed_tables import ListedFile, listed_files
from spark_jobs.files.publish import read_published
from spark_jobs.sources.claim_lines import (
    DATE_FLAGS,
    code_system,
    filled,
    with_births,
    with_dates,
    with_header,
    with_keys,
)
from spark_jobs.sources.claim_rules import repeated_on_lines, set_aside_duplicates, set_aside_undone
from spark_jobs.sources.claims_map import GENERATED, ClaimsMap, plain
from spark_jobs.sources.claims_map_file import read_claims_map
from spark_jobs.sources.columns import column
from spark_jobs.sources.parquet_files import open_parquet_files
from spark_jobs.sources.plain_claims import PlainClaims
from spark_jobs.sources.raw import RawDiagnoses, raw_diagnoses, require_columns, with_plain_ids
from spark_jobs.sources.raw_rows import FileRows
from spark_jobs.sources.tables import CORRUPT, RawInput
from spark_jobs.transforms.codes import empty_as_null
from spark_jobs.transforms.diagnoses import (
    ADMIT,
    BIRTH_DATE,
    CODES,
    DIAGNOSIS_COLUMN,
    DISCHARGE,
    ORDERS,
    PATIENT,
    SET_ASIDE,
    SOURCE_ROWS,
    SYSTEM,
    VISIT,
)

CODE = "__code"
CODES_REPAIRED = "codes_repaired"


@dataclass(frozen=True)
class ClaimsOptions:
    """Options of source claims.

    Args:
        columns: YAML file that says which column is what (configs/sources/ has examples); without one, the
            layout that `make claims` writes.
    """

    columns: str | None = None


def read(raw: RawInput, options: ClaimsOptions = ClaimsOptions()) -> RawDiagnoses:
    """Read claims. Raises ContractError for a map or table that is not right.

    Flags: `admit_date_fallback`, `discharge_date_fallback` (another than the first column of the map's list
    gave the date), `outpatient_one_day` (not a stay, though its dates are days apart), `codes_repaired`.
    """
    claims_map = read_claims_map(options.columns)
    raw.require()
    uris, listed, inputs = _claims_files(raw, claims_map)
    cores = raw.spark.sparkContext.defaultParallelism
    files = open_parquet_files(uris, claims_map.columns, cores, listed)
    plain_claims = PlainClaims(claims_map)
    if files and plain_claims.fits(files.schema):
        return RawDiagnoses(
            FileRows(raw.spark, files, plain_claims),
            {name: name for name in claims_map.code_columns},
            tuple(claims_map.columns),
            ({SOURCE_ROWS: files.num_rows, _num_rows_name(claims_map): files.num_rows},),
            plain_claims.flags,
            inputs,
            _parameters(claims_map),
            saying(claims_map),
        )
    for file in listed.values():
        file.check()
    # Of a published folder only the files that its manifest lists.
    listed = replace(raw, files=tuple(uris)) if inputs else raw
    table = listed.read(None if inputs else _table_name(raw, claims_map), needed=claims_map.columns)
    columns = claims_map.code_columns
    where = f"{claims_map.table or 'the claims'} in {raw.uri}"
    # What a header has is looked for only once it is joined.
    require_columns(table, columns if claims_map.header else claims_map.columns, where)
    num_lines = F.count("*")
    num_rows = _num_codes(table, claims_map) if claims_map.diagnoses.repeat_on_lines else num_lines
    counts = table.agg(num_rows.alias(SOURCE_ROWS), num_lines.alias(_num_rows_name(claims_map)))

    table = with_plain_ids(table, claims_map.number_columns)
    if claims_map.header:
        keys = list(map(plain, claims_map.header.on))
        headers = _sibling(raw, claims_map.header.table, [*keys, *claims_map.columns])
        headers = with_plain_ids(headers, claims_map.number_columns)
        table = with_header(table, headers, claims_map)
        require_columns(table, claims_map.columns, where)
    lines = with_dates(with_keys(table, claims_map), claims_map)
    if claims_map.drop_duplicate_lines:
        lines = set_aside_duplicates(lines)
    if claims_map.status:
        lines = set_aside_undone(lines, claims_map.status, claims_map)
    births = claims_map.birth
    patients = None
    if births and births.table:
        needed = [plain(births.patient or claims_map.patient), plain(births.column)]
        patients = _sibling(raw, births.table, needed)
    lines = with_births(lines, claims_map, patients)
    lines = lines.withColumn(SYSTEM, code_system(claims_map))
    lines, codes = _with_codes(lines, claims_map)
    repeated = claims_map.diagnoses.repeat_on_lines
    shown = [*claims_map.columns, CORRUPT]
    if repeated:
        lines, codes = _one_code_a_row(lines, codes, claims_map)
        lines, shown = repeated_on_lines(lines, CODE), [*shown, DIAGNOSIS_COLUMN]
    flags = tuple(flag for flag in (*DATE_FLAGS, CODES_REPAIRED) if flag in lines.columns)
    said = {name: F.col(name) for name in (PATIENT, VISIT, ADMIT, DISCHARGE, SYSTEM, SET_ASIDE, *flags)}
    ruled = {
        BIRTH_DATE: claims_map.birth,
        ORDERS[0]: claims_map.diagnoses.order or repeated,
    }
    said |= {name: F.col(name) for name, rule in ruled.items() if rule}
    return raw_diagnoses(
        lines,
        said,
        codes,
        shown,
        (counts,),
        flags,
        inputs=inputs,
        parameters=_parameters(claims_map),
        columns=saying(claims_map),
    )


def saying(claims_map: ClaimsMap) -> dict[str, tuple[str, ...]]:
    """RawDiagnoses.columns: what a map's columns say, for rows that are rejected."""
    dates = claims_map.dates
    made_of = [dates.order_by, dates.length_of_stay] if dates else []
    # Where each code has a system of its own, its own column says which code it is about.
    systems = claims_map.system_columns if len(claims_map.systems) == 1 else []
    said = {
        PATIENT: [claims_map.patient],
        VISIT: [name for name in (claims_map.visit, claims_map.claim) if name],
        ADMIT: claims_map.admit or made_of[:1],
        DISCHARGE: claims_map.discharge or made_of,
        SYSTEM: systems,
        CODES: claims_map.code_columns,
    }
    return {name: tuple(map(plain, columns)) for name, columns in said.items()}


def _num_rows_name(claims_map: ClaimsMap) -> str:
    return "claim_lines_in" if claims_map.line else "claims_in"


def _parameters(claims_map: ClaimsMap) -> dict[str, Any]:
    """What a map says decides the result; where it lies does not."""
    return {} if claims_map == GENERATED else {"claims": asdict(claims_map)}


def _table_name(raw: RawInput, claims_map: ClaimsMap) -> str | None:
    """None where the input itself is the table."""
    name = claims_map.table
    return name if name and raw.is_path and raw.folder.exists(name) else None


def _claims_files(
    raw: RawInput, claims_map: ClaimsMap
) -> tuple[list[str], dict[str, ListedFile], dict[str, str]]:
    """The claims' Parquet files; where a manifest lists them, its entries by URI, and its fingerprint.

    No files where they have no files, or have files of another kind.
    """
    name = _table_name(raw, claims_map)
    if claims_map == GENERATED and raw.is_path and raw.folder.exists(MANIFEST_NAME):
        published = read_published(raw.spark, raw.uri, KIND)
        listed = {
            join(of.root, of.file.path): of
            for of in listed_files(raw.spark, published)
            if of.file.path.startswith(f"{name}/")
        }
        return list(listed), listed, {KIND: published.manifest.fingerprint}
    return raw.parquet_files(name), {}, {}


def _sibling(raw: RawInput, name: str, needed: Collection[str]) -> DataFrame:
    """Another table: in the same folder, or by its full name where tables have names."""
    if not raw.is_path:
        return replace(raw, uri=name).read(needed=needed)
    if not raw.folder.is_folder():
        raw = replace(raw, uri=raw.uri.rpartition("/")[0] or ".")
    if not raw.folder.exists(name):
        raise ContractError(
            f"{raw.uri} has no {name}", "the column map names it", "check the map, and --input"
        )
    return raw.read(name, needed=needed)


def _with_codes(lines: DataFrame, claims_map: ClaimsMap) -> tuple[DataFrame, dict[str, str]]:
    """Adds a column of codes where the map has rules for them; code column → column of its codes.

    And where it has repairs, which of the codes were fixed, an array in their order.
    """
    names = claims_map.code_columns
    if not claims_map.missing and not claims_map.repairs:
        return lines, {name: name for name in names}
    found = {name: filled(column(name), claims_map) for name in names}
    mended = {
        name: _repaired(code, _system_of(place, claims_map), claims_map)
        for place, (name, code) in enumerate(found.items())
    }
    lines = lines.withColumns({f"__code_{name}": code for name, code in mended.items()})
    if claims_map.repairs:
        changed = [F.coalesce(column(f"__code_{name}") != found[name], F.lit(False)) for name in names]
        lines = lines.withColumn(CODES_REPAIRED, F.array(*changed))
    return lines, {name: f"__code_{name}" for name in names}


def _system_of(place: int, claims_map: ClaimsMap) -> Column:
    """The code system of one code column, by its place."""
    return F.col(SYSTEM) if len(claims_map.systems) == 1 else F.col(SYSTEM)[place]


def _repaired(code: Column, system: Column, claims_map: ClaimsMap) -> Column:
    for repair in claims_map.repairs:
        mended = F.regexp_replace(code, repair.pattern, repair.replacement)
        if repair.system:
            mended = F.when(system == system_named(repair.system), mended).otherwise(code)
        code = mended
    return code


def _num_codes(lines: DataFrame, claims_map: ClaimsMap) -> Column:
    """How many rows _one_code_a_row makes of them."""
    further = claims_map.code_columns[1:]
    filled_ones = (filled(column(name), claims_map).isNotNull().cast("bigint") for name in further)
    return F.coalesce(F.sum(reduce(add, filled_ones, F.lit(1))), F.lit(0))


def _one_code_a_row(
    lines: DataFrame, codes: dict[str, str], claims_map: ClaimsMap
) -> tuple[DataFrame, dict[str, str]]:
    """A row for each code of a line, its column, place and system named; at least the first of each line."""
    mended = [F.col(CODES_REPAIRED)] if CODES_REPAIRED in lines.columns else []
    slots = [
        F.struct(
            F.lit(name).alias(DIAGNOSIS_COLUMN),
            F.lit(place).alias(ORDERS[0]),
            empty_as_null(column(code).cast("string")).alias(CODE),
            _system_of(place - 1, claims_map).alias(SYSTEM),
            *(of_codes[place - 1].alias(CODES_REPAIRED) for of_codes in mended),
        )
        for place, (name, code) in enumerate(codes.items(), start=1)
    ]
    filled_ones = F.filter(F.array(*slots), lambda slot: slot[CODE].isNotNull() | (slot[ORDERS[0]] == 1))
    kept = [column(name) for name in lines.columns if name not in (ORDERS[0], SYSTEM, CODES_REPAIRED)]
    long = lines.select(*kept, F.explode(filled_ones).alias("__slot"))
    return long.select("*", "__slot.*").drop("__slot"), {CODE: CODE}
