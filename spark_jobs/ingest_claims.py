"""Raw claims of any known source → diagnoses/, and what was set aside → diagnoses_rejected/."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field

from pyspark.sql import Column, Observation, SparkSession
from pyspark.sql import functions as F

from schemas.diagnoses import KIND, REASONS, REJECTED_KIND
from schemas.errors import ContractError
from schemas.manifest import Manifest
from spark_jobs.checks import check_nothing_lost, watch_diagnoses
from spark_jobs.config import run_job
from spark_jobs.publish import publish, start_output, write_parquet
from spark_jobs.sources import find_source
from spark_jobs.sources.omop import OmopOptions
from spark_jobs.transforms.diagnoses import REASON, accepted, classify, rejected


@dataclass(frozen=True)
class IngestClaims:
    """Normalise raw claims; set bad rows aside.

    Args:
        source: medbert, omop or claims.
        input: the raw file or folder.
        output: folder for the diagnoses.
        rejected: folder for rows set aside; by default beside the output, `<output>_rejected`.
        omop: options of source omop.
    """

    source: str
    input: str
    output: str
    rejected: str | None = None
    omop: OmopOptions = field(default_factory=OmopOptions)


def main(spark: SparkSession, config: IngestClaims) -> None:
    raw = find_source(config.source)(spark, config.input, config.omop)
    output = start_output(spark, config.output, [config.input])
    aside = start_output(spark, config.rejected or f"{config.output.rstrip('/')}_rejected", [config.input])
    counts = {name: value for frame in raw.counts for name, value in frame.first().asDict().items()}

    seen = Observation()
    classified = classify(raw.entries).observe(seen, *_counters(raw.flags))
    good, watched = watch_diagnoses(accepted(classified), config.output)
    files = write_parquet(good, output)
    watched.check(config.output)
    by_reason = {reason: seen.get[reason] for reason in REASONS if seen.get[reason]}
    # A second read of the raw data only if something must be set aside.
    bad_files = write_parquet(rejected(classify(raw.entries)), aside) if by_reason else []

    counts |= {flag: seen.get[flag] for flag in raw.flags}
    counts |= {"rows_out": sum(f.rows for f in files), "rows_rejected": sum(f.rows for f in bad_files)}
    counts |= {"rejected": by_reason}
    check_nothing_lost(counts, config.input)
    parameters = {"source": config.source} | (
        {"omop": asdict(config.omop)} if config.source == "omop" else {}
    )
    inputs = raw.inputs or {}
    publish(aside, Manifest(REJECTED_KIND, parameters, inputs, tuple(bad_files), {"rejected": by_reason}))
    if not counts["rows_out"]:
        raise ContractError(
            f"no row of {config.input} is a usable diagnosis (set aside: {by_reason or 'none, it is empty'})",
            "ingest needs at least one good row", f"look at {aside.uri}, and check --source and --input",
        )  # fmt: skip
    publish(output, Manifest(KIND, parameters, inputs, tuple(files), counts))


def _counters(flags: tuple[str, ...]) -> list[Column]:
    """How many rows each reason and each of the source's flags has."""
    reasons = [F.count_if(F.col(REASON) == reason).alias(reason) for reason in REASONS]
    return reasons + [F.count_if(F.col(flag)).alias(flag) for flag in flags]


if __name__ == "__main__":
    sys.exit(run_job(IngestClaims, main))
