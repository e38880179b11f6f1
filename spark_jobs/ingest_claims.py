"""Raw claims of any known source → diagnoses/, and what was set aside → diagnoses_rejected/."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from schemas.diagnoses import DIAGNOSES, KIND, REASONS, REJECTED, REJECTED_KIND, SAME_DAY
from schemas.errors import ContractError
from schemas.layout import layout_by_patient
from schemas.manifest import Manifest
from spark_jobs.checks import check_nothing_lost, check_positive
from spark_jobs.config import run_job
from spark_jobs.publish import Target, publish, start_output, write_parts
from spark_jobs.sources import find_source
from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.meds import MedsOptions
from spark_jobs.sources.omop import OmopOptions
from spark_jobs.sources.tables import RawInput
from spark_jobs.transforms.diagnoses import (
    ASIDE,
    GOOD,
    PATIENT,
    ROWS_IN,
    SOURCE_ROWS,
    ParseDiagnoses,
)
from spark_jobs.transforms.layout import SORTED_BY, by_patient, num_partitions_for


@dataclass(frozen=True)
class IngestClaims:
    """Normalise raw claims; set bad rows aside.

    Args:
        source: medbert, omop, claims or meds.
        input: the raw file or folder; with --format table, jdbc or iceberg a table, or the schema it is in.
        output: folder for the diagnoses.
        rejected: folder for rows set aside; by default beside the output, `<output>_rejected`.
        format: of Spark (csv, parquet, orc, delta, iceberg, jdbc, …), or `table` for a table of the catalog;
            without it, by file extension.
        format_options: of that format, e.g. '{sep: "|"}'. They appear in no manifest.
        as_of: the day of the extract, YYYY-MM-DD: what is discharged later is set aside. Without it, no date
            is too late: de-identified data may lie in the future.
        num_partitions: into how many files patients are shuffled; the later stages work file by file. By
            default one for each 250,000 rows of the input, so it does not depend on the cluster.
        omop: options of source omop.
        claims: options of source claims.
        meds: options of source meds.
    """

    source: str
    input: str
    output: str
    rejected: str | None = None
    format: str | None = None
    format_options: dict[str, bool | int | str] = field(default_factory=dict)
    as_of: str | None = None
    num_partitions: int | None = None
    omop: OmopOptions = field(default_factory=OmopOptions)
    claims: ClaimsOptions = field(default_factory=ClaimsOptions)
    meds: MedsOptions = field(default_factory=MedsOptions)


def main(spark: SparkSession, config: IngestClaims) -> None:
    as_of = _day(config.as_of)
    check_positive(num_partitions=config.num_partitions)
    given = RawInput(spark, config.input, config.format, config.format_options)
    raw = find_source(config.source)(given, getattr(config, config.source, None))
    inputs = [config.input] if given.is_path else []
    output = start_output(spark, config.output, inputs)
    aside = start_output(spark, config.rejected or f"{config.output.rstrip('/')}_rejected", inputs)
    counts = {name: value for frame in raw.counts for name, value in frame.first().asDict().items()}
    source_rows = counts.pop(SOURCE_ROWS)

    num_partitions = config.num_partitions or num_partitions_for(source_rows)
    targets = {GOOD: Target(output, schema=DIAGNOSES), ASIDE: Target(aside, schema=REJECTED)}
    task = ParseDiagnoses(raw.codes, raw.raw, raw.flags, as_of)
    written = write_parts(by_patient(raw.rows, num_partitions, PATIENT), targets, task)
    files, bad_files = written.files[GOOD], written.files[ASIDE]
    seen = written.counts
    by_reason = {reason: seen[reason] for reason in REASONS if seen.get(reason)}
    counts |= {name: seen.get(name, 0) for name in (ROWS_IN, *raw.flags, SAME_DAY)}
    counts |= {"rows_out": sum(f.rows for f in files), "rows_rejected": sum(f.rows for f in bad_files)}
    counts |= {"rejected": by_reason}
    check_nothing_lost(counts, source_rows, seen.get(SOURCE_ROWS, 0), config.input)
    chosen = {"format": config.format, "as_of": config.as_of}
    parameters = {"source": config.source} | {name: value for name, value in chosen.items() if value}
    parameters |= raw.parameters
    publish(aside, Manifest(REJECTED_KIND, parameters, raw.inputs, tuple(bad_files), {"rejected": by_reason}))
    if not counts["rows_out"]:
        raise ContractError(
            f"no row of {config.input} is a usable diagnosis (set aside: {by_reason or 'none, it is empty'})",
            "ingest needs at least one good row", f"look at {aside.uri}, and check --source and --input",
        )  # fmt: skip
    layout = layout_by_patient(num_partitions, SORTED_BY)
    publish(output, Manifest(KIND, parameters, raw.inputs, tuple(files), counts, layout))


def _day(text: str | None) -> datetime.date | None:
    """Raises ContractError for what is no date."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ContractError(f"as_of is {text}", "it is a date, YYYY-MM-DD", "give another --as_of") from error


if __name__ == "__main__":
    sys.exit(run_job(IngestClaims, main))
