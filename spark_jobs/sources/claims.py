"""Claims of any payer, wide or long, through a column map (claims_map); without one, the generator's layout.

A diagnosis entry is a diagnosis column that is filled; the first column always is one, so that a claim
without any diagnosis is set aside rather than lost. Without a visit id the visit is the claim; the order is
that of the columns.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.claims import KIND
from schemas.errors import ContractError
from schemas.manifest import MANIFEST_NAME, join
from spark_jobs.publish import read_published
from spark_jobs.sources.claim_lines import (
    ADMIT,
    ASIDE,
    BIRTH,
    CLAIM,
    DATE_FLAGS,
    DISCHARGE,
    LINE,
    ORDER,
    PATIENT,
    ROW,
    VISIT,
    code_system,
    filled,
    with_births,
    with_dates,
    with_header,
    with_keys,
)  # fmt: skip
from spark_jobs.sources.claim_rules import repeated_on_lines, set_aside_duplicates, set_aside_undone
from spark_jobs.sources.claims_map import GENERATED, ClaimsMap, plain
from spark_jobs.sources.claims_map_file import read_claims_map
from spark_jobs.sources.raw import (
    BIRTH_DATE,
    MALFORMED,
    SET_ASIDE,
    RawDiagnoses,
    entries,
    raw_json,
    require_columns,
)
from spark_jobs.sources.tables import CORRUPT, RawInput, read_parquet

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
    table, inputs = _claims_table(raw, claims_map)
    columns = claims_map.diagnosis_columns
    where = f"{claims_map.table or 'the claims'} in {raw.uri}"
    # What a header has is looked for only once it is joined.
    require_columns(table, columns if claims_map.header else claims_map.columns, where)
    entries_in_row = reduce(add, (_is_entry(claims_map, name).cast("bigint") for name in columns))
    counts = table.agg(
        F.coalesce(F.sum(entries_in_row), F.lit(0)).alias("rows_in"),
        F.count("*").alias("claim_lines_in" if claims_map.line else "claims_in"),
    )

    if claims_map.header:
        table = with_header(table, _sibling(raw, claims_map.header.table), claims_map.header)
        require_columns(table, claims_map.columns, where)
    lines = with_dates(with_keys(table, claims_map), claims_map)
    if claims_map.drop_duplicate_lines:
        lines = set_aside_duplicates(lines)
    if claims_map.status:
        lines = set_aside_undone(lines, claims_map.status)
    births = claims_map.birth and claims_map.birth.table
    lines = with_births(lines, claims_map, _sibling(raw, births) if births else None)
    long, flags = _diagnoses(lines, claims_map, table.columns)
    if claims_map.diagnoses.repeat_on_lines:
        long = repeated_on_lines(long)
    # What a map says decides the result; where it lies does not.
    parameters = {} if claims_map == GENERATED else {"claims": asdict(claims_map)}
    return RawDiagnoses(entries(long, flags), (counts,), flags, inputs, parameters)


def _claims_table(raw: RawInput, claims_map: ClaimsMap) -> tuple[DataFrame, dict[str, str]]:
    """The claims, of the files that a manifest lists where there is one, and then its fingerprint."""
    folder = raw.folder if raw.is_path else None
    name = claims_map.table if folder and claims_map.table and folder.exists(claims_map.table) else None
    if claims_map == GENERATED and folder and folder.exists(MANIFEST_NAME):
        published = read_published(raw.spark, raw.uri, KIND)
        files = [join(raw.uri, f.path) for f in published.manifest.files if f.path.startswith(f"{name}/")]
        return read_parquet(raw.spark, files), {KIND: published.manifest.fingerprint}
    return raw.read(name), {}


def _sibling(raw: RawInput, name: str) -> DataFrame:
    """Another table: in the same folder, or by its full name where tables have names."""
    if not raw.is_path:
        return replace(raw, uri=name).read()
    if not raw.folder.is_folder():
        raw = replace(raw, uri=raw.uri.rpartition("/")[0] or ".")
    if not raw.folder.exists(name):
        raise ContractError(
            f"{raw.uri} has no {name}", "the column map names it", "check the map, and --input"
        )
    return raw.read(name)


def _diagnoses(
    lines: DataFrame, claims_map: ClaimsMap, raw_columns: list[str]
) -> tuple[DataFrame, tuple[str, ...]]:
    """A row a diagnosis, with the columns of an entry, and the names of its flags."""
    columns = claims_map.diagnosis_columns
    slots = F.array(
        *(
            F.struct(
                F.lit(name).alias("column"),
                F.lit(n).alias("place"),
                filled(F.col(name), claims_map).alias("code"),
                _is_entry(claims_map, name).alias("is_entry"),
            )
            for n, name in enumerate(columns, start=1)
        )
    )
    long = lines.withColumn("__slot", F.explode(F.filter(slots, lambda slot: slot["is_entry"])))
    if len(columns) > 1:
        long = long.withColumn("diagnosis_column", F.col("__slot.column"))
        raw_columns = [*raw_columns, "diagnosis_column"]
    code, system = F.col("__slot.code"), code_system(claims_map)
    repaired = code
    for repair in claims_map.repairs:
        mended = F.regexp_replace(repaired, repair.pattern, repair.replacement)
        repaired = F.when(system == repair.system, mended).otherwise(repaired) if repair.system else mended
    date_flags = tuple(flag for flag in DATE_FLAGS if flag in lines.columns)
    flags = {CODES_REPAIRED: F.coalesce(repaired != code, F.lit(False))} if claims_map.repairs else {}
    rows = long.select(
        F.col(PATIENT).alias("patient_id"),
        F.col(VISIT).alias("visit_id"),
        F.col(ADMIT).alias("admit_date"),
        F.col(DISCHARGE).alias("discharge_date"),
        system.alias("system"),
        repaired.alias("code"),
        (F.col(ORDER) if claims_map.diagnoses.order else F.col("__slot.place")).alias("order_1"),
        raw_json(raw_columns).alias("raw"),
        F.col(CORRUPT).isNotNull().alias(MALFORMED),
        F.col(ASIDE).alias(SET_ASIDE),
        F.col(BIRTH).alias(BIRTH_DATE),
        *(CLAIM, LINE, ROW),
        *date_flags,
        *(flag.alias(name) for name, flag in flags.items()),
    )
    return rows, (*date_flags, *flags)


def _is_entry(claims_map: ClaimsMap, name: str) -> Column:
    first = plain(name) == claims_map.diagnosis_columns[0]
    return F.lit(True) if first else filled(F.col(name), claims_map).isNotNull()
