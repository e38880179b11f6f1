"""Raw claims of any known source → diagnoses/, and what was set aside → diagnoses_rejected/."""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from schemas.batches import batch_folder
from schemas.diagnoses import (
    DIAGNOSES,
    ENCODING_UNREADABLE,
    KIND,
    LEFT_OUT,
    ORDERS_UNREADABLE,
    PASSED_OVER,
    REASONS,
    REJECTED,
    REJECTED_KIND,
    SAME_DAY,
)
from schemas.errors import ContractError
from schemas.layout import layout_by_patient
from schemas.manifest import Manifest
from schemas.small_cells import in_words
from spark_jobs.checks import check_nothing_lost, check_positive
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.publish import Target, publish, start_private, write_parts
from spark_jobs.files.storage import Folder
from spark_jobs.growth.follow_claims import follow
from spark_jobs.growth.growing import Ingested
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.sources.known import find_source
from spark_jobs.sources.raw import RawDiagnoses
from spark_jobs.sources.tables import RawInput
from spark_jobs.transforms.diagnoses import (
    ASIDE,
    GOOD,
    ROWS_IN,
    SOURCE_ROWS,
    ParseDiagnoses,
)
from spark_jobs.transforms.layout import SORTED_BY, num_partitions_for
from spark_jobs.transforms.subset import find_subset
from spark_jobs.worker_errors import errors_of_workers

log = logging.getLogger(__name__)


@holds_outputs("output", "aside")
@errors_of_workers()
def main(spark: SparkSession, config: IngestClaims) -> None:
    as_of = _day(config.as_of)
    check_positive(num_partitions=config.num_partitions, max_patients=config.max_patients)
    _check_two_folders(spark, config)
    if config.follow:
        if config.max_patients:
            raise ContractError(
                f"follow is {config.follow}, and max_patients {config.max_patients}",
                "claims that are followed come in batches, and the subset would change with each",
                "leave out one of the two",
            )
        follow(spark, config, lambda given, *folders: _write(config, as_of, _read(config, given), *folders))
        return
    given = RawInput(spark, config.input, config.format, config.format_options)
    raw = _read(config, given)
    inputs = [config.input] if given.is_path else []
    # A killed --follow leaves rows of its first batch.
    output, aside = (
        start_private(spark, folder, config.shared_group, inputs, [batch_folder(0)])
        for folder in (config.output, config.aside)
    )
    made = _write(config, as_of, raw, output, aside)
    by_reason = made.counts["rejected"]
    bad_files = tuple(made.rejected_files)
    publish(aside, Manifest(REJECTED_KIND, made.parameters, made.inputs, bad_files, {"rejected": by_reason}))
    if not made.counts["rows_out"]:
        raise _nothing_to_use(config.input, made.counts, aside.uri)
    layout = layout_by_patient(made.num_partitions, SORTED_BY)
    publish(output, Manifest(KIND, made.parameters, made.inputs, tuple(made.files), made.counts, layout))


def _nothing_to_use(uri: str, counts: Mapping[str, Any], aside: str) -> ContractError:
    """The error for an input without a good row: what became of its rows, and what to look at."""
    rejected = counts["rejected"]
    passed_over = [name for name in PASSED_OVER if counts.get(name)]
    found = [f"{reason} {in_words(rows)}" for reason, rows in rejected.items()]
    said = [f"set aside: {', '.join(found)}"] if found else []
    said += [f"{name}: {in_words(counts[name])}, {PASSED_OVER[name]}" for name in passed_over]
    remedies = [f"look at {aside}"] if found else []
    remedies += ["give --format_options '{encoding: …}'"] if ENCODING_UNREADABLE in rejected else []
    remedies += ["name the codes or types that the data have in the option above"] if passed_over else []
    return ContractError(
        f"no row of {uri} is a usable diagnosis ({'; '.join(said) or 'it has no rows'})",
        "ingest needs at least one good row",
        ", ".join([*remedies, "check --source and --input"]),
    )


def _say_what_encoding_lost(rejected: Mapping[str, int]) -> None:
    if rows := rejected.get(ENCODING_UNREADABLE):
        log.warning(
            "%s rows are rejected as %s: %s. If the files are in another encoding, name it: "
            "--format_options '{encoding: ISO-8859-1}'",
            in_words(rows),
            ENCODING_UNREADABLE,
            REASONS[ENCODING_UNREADABLE],
        )


def _check_two_folders(spark: SparkSession, config: IngestClaims) -> None:
    if Folder(spark, config.output).qualified == Folder(spark, config.aside).qualified:
        raise ContractError(
            f"rejected is {config.aside}, and so is output",
            "diagnoses and the rows set aside lie in two folders",
            "give another --rejected, or leave it out",
        )


def _read(config: IngestClaims, given: RawInput) -> RawDiagnoses:
    return find_source(config.source)(given, getattr(config, config.source, None))


def _write(
    config: IngestClaims, as_of: datetime.date | None, raw: RawDiagnoses, output: Folder, aside: Folder
) -> Ingested:
    """Diagnoses, and what is set aside, into two folders that nobody reads yet."""
    counts: dict[str, Any] = {}
    for found in raw.counts:
        counts |= found.first().asDict() if isinstance(found, DataFrame) else found
    source_rows = counts.pop(SOURCE_ROWS)
    subset = find_subset(raw.rows.subset_hashes(), config.max_patients) if config.max_patients else None
    if subset:
        counts[LEFT_OUT] = subset.rows_left_out
    source_rows -= counts.get(LEFT_OUT, 0)
    num_partitions = config.num_partitions or num_partitions_for(source_rows)
    targets = {GOOD: Target(output, schema=DIAGNOSES), ASIDE: Target(aside, schema=REJECTED)}
    together, take_patients = raw.rows.by_patient(num_partitions, subset)
    task = ParseDiagnoses(take_patients, raw.codes, raw.raw, raw.flags, as_of, raw.columns)
    written = write_parts(together, targets, task)
    files, bad_files = written.files[GOOD], written.files[ASIDE]
    seen = written.counts
    by_reason = {reason: seen[reason] for reason in REASONS if seen.get(reason)}
    counts |= {name: seen.get(name, 0) for name in (ROWS_IN, *raw.flags, SAME_DAY, ORDERS_UNREADABLE)}
    counts |= {"rows_out": sum(f.rows for f in files), "rows_rejected": sum(f.rows for f in bad_files)}
    counts |= {"rejected": by_reason}
    _say_what_encoding_lost(by_reason)
    check_nothing_lost(counts, source_rows, seen.get(SOURCE_ROWS, 0), config.input)
    chosen = {"format": config.format, "as_of": config.as_of, "max_patients": config.max_patients}
    parameters = {"source": config.source} | {name: value for name, value in chosen.items() if value}
    return Ingested(parameters | raw.parameters, raw.inputs, files, bad_files, counts, num_partitions)


def _day(text: str | None) -> datetime.date | None:
    """Raises ContractError for what is no date."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ContractError(f"as_of is {text}", "it is a date, YYYY-MM-DD", "give another --as_of") from error


if __name__ == "__main__":
    sys.exit(run_job(IngestClaims, main))
