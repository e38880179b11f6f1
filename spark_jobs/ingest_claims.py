"""Raw claims of any known source → diagnoses/, and what was set aside → diagnoses_rejected/."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass, field

from pyspark.sql import Column, Observation, SparkSession
from pyspark.sql import functions as F

from schemas.diagnoses import ADMIT_DATE, DISCHARGE_DATE, KIND, REASONS, REJECTED_KIND
from schemas.errors import ContractError
from schemas.layout import layout_by_patient
from schemas.manifest import Manifest
from spark_jobs.checks import check_nothing_lost, check_positive, watch_diagnoses
from spark_jobs.config import run_job
from spark_jobs.publish import publish, start_output, write_parquet
from spark_jobs.sources import find_source
from spark_jobs.sources.claims import ClaimsOptions
from spark_jobs.sources.meds import MedsOptions
from spark_jobs.sources.omop import OmopOptions
from spark_jobs.sources.tables import RawInput
from spark_jobs.transforms.diagnoses import REASON, accepted, classify, rejected
from spark_jobs.transforms.layout import SORTED_BY, by_patient, num_partitions_for

# Count of good rows that were discharged on the day of admission.
SAME_DAY = "same_day_rows"


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
            default one for each 500,000 diagnoses, so it does not depend on the cluster.
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

    seen = Observation()
    classified = classify(raw.entries, as_of).observe(seen, *_counters(raw.flags))
    good, watched = watch_diagnoses(accepted(classified), config.output)
    num_partitions = config.num_partitions or num_partitions_for(counts["rows_in"])
    files = write_parquet(by_patient(good, num_partitions), output)
    watched.check(config.output)
    by_reason = {reason: seen.get[reason] for reason in REASONS if seen.get[reason]}
    # A second read of the raw data only if something must be set aside.
    bad_files = write_parquet(rejected(classify(raw.entries, as_of)), aside) if by_reason else []

    counts |= {name: seen.get[name] for name in (*raw.flags, SAME_DAY)}
    counts |= {"rows_out": sum(f.rows for f in files), "rows_rejected": sum(f.rows for f in bad_files)}
    counts |= {"rejected": by_reason}
    check_nothing_lost(counts, config.input)
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


def _counters(flags: tuple[str, ...]) -> list[Column]:
    """How many rows each reason and each of the source's flags has."""
    reasons = [F.count_if(F.col(REASON) == reason).alias(reason) for reason in REASONS]
    same_day = F.col(REASON).isNull() & (F.col(ADMIT_DATE) == F.col(DISCHARGE_DATE))
    return [
        *reasons,
        *(F.count_if(F.col(flag)).alias(flag) for flag in flags),
        F.count_if(same_day).alias(SAME_DAY),
    ]


def _day(text: str | None) -> datetime.date | None:
    """Raises ContractError for what is no date."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ContractError(f"as_of is {text}", "it is a date, YYYY-MM-DD", "give another --as_of") from error


if __name__ == "__main__":
    sys.exit(run_job(IngestClaims, main))
