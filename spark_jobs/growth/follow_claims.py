"""Claims as they land: each new file of a folder into diagnoses/, exactly once.

Spark's Structured Streaming finds the files that it has not seen before and notes which of them are one
batch, in `_follow/` within the diagnoses. Each batch then goes the way of any raw data, into a folder of its
own, and counts from when the manifest lists it (growing). A process killed before that begins the batch anew;
one killed later finds it there and passes on. Claims that come late are rows of a later batch like others.

Two rules follow. Files are moved into the folder whole and do not change: a correction is a new file. And
what a row means must not depend on another row, which may come in another batch: sources and column maps with
rules on several rows (equal lines, reversals, visits one after another, …) or a second table are refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from schemas.errors import ContractError
from schemas.manifest import join
from schemas.small_cells import in_words
from spark_jobs.growth.growing import CHECKPOINT, GrowingDiagnoses, open_growing
from spark_jobs.ingest_options import IngestClaims
from spark_jobs.sources.claims_map import ClaimsMap
from spark_jobs.sources.claims_map_file import read_claims_map
from spark_jobs.sources.tables import CSV, EXTENSIONS, RawInput

log = logging.getLogger(__name__)

NOW = "now"
INTERVAL = re.compile(r"[1-9]\d* (second|minute|hour|day)s?")
SOURCES = ("claims", "medbert")
FORMATS = (CSV, *dict.fromkeys(EXTENSIONS.values()))
# Spark's binaryFile: of a column that is not asked for, such as the content, it reads nothing.
FILES_DDL = "path string, modificationTime timestamp, length bigint, content binary"


def follow(spark: SparkSession, config: IngestClaims, normalise: Callable) -> None:
    """Take in the files that have come; with an interval go on, until the process is stopped.

    normalise(raw, output, aside) → growing.Batch writes one batch. Raises ContractError.
    """
    raw = RawInput(spark, _folder(spark, config), config.format, config.format_options)
    growing = open_growing(spark, config.output, config.aside, [config.input])
    refused: list[ContractError] = []

    def take(files: DataFrame, number: int) -> None:
        try:
            paths = sorted(row.path for row in files.collect())
            # The stream has a session of its own, which is the active one here.
            found = replace(raw, spark=files.sparkSession, files=tuple(paths))
            take_batch(growing, number, found, normalise)
        except ContractError as error:
            refused.append(error)
            raise

    # By default Spark passes over a file that is a week older than the newest.
    landing = spark.readStream.format("binaryFile").schema(FILES_DDL).option("maxFileAge", "36500d")
    stream = landing.load(raw.uri).select("path").writeStream.foreachBatch(take)
    stream = stream.option("checkpointLocation", join(config.output, CHECKPOINT))
    once = config.follow == NOW
    query = stream.trigger(**({"availableNow": True} if once else {"processingTime": config.follow})).start()
    try:
        query.awaitTermination()
    except StreamingQueryException:
        if refused:
            raise refused[0] from None
        raise
    finally:
        query.stop()


def take_batch(growing: GrowingDiagnoses, number: int, raw: RawInput, normalise: Callable) -> None:
    """Write and commit one batch of files, unless it is there already."""
    prefix = raw.folder.qualified.rstrip("/") + "/"
    names = [path.removeprefix(prefix) for path in raw.files]
    if growing.has(number, names):
        log.info("batch %d of %s is there already", number, growing.output.uri)
        return
    batch = normalise(raw, *growing.start(number, raw.spark))
    growing.add(batch, names)
    added, aside = (in_words(sum(file.rows for file in of)) for of in (batch.files, batch.rejected_files))
    log.info(
        "batch %d of %s: %d files, %s diagnoses, %s rows set aside",
        number,
        growing.output.uri,
        len(names),
        added,
        aside,
    )


def _folder(spark: SparkSession, config: IngestClaims) -> str:
    """The folder to watch. Raises ContractError for what cannot be followed."""
    raw = RawInput(spark, config.input, config.format, config.format_options)
    if config.follow != NOW and not INTERVAL.fullmatch(config.follow or ""):
        raise ContractError(
            f"follow is {config.follow}", f"it is {NOW}, or an interval such as `10 minutes`", "give another"
        )
    if config.source not in SOURCES or config.format not in (None, *FORMATS):
        raise ContractError(
            f"source {config.source} with format {config.format or 'by extension'} cannot be followed",
            f"one can follow {' and '.join(SOURCES)} in files of {', '.join(FORMATS)}",
            "ingest it whole, without --follow",
        )
    if not raw.folder.is_folder():
        raise ContractError(
            f"{config.input} is not a folder", "new files are looked for in a folder", "check --input"
        )
    if config.source != "claims":
        return config.input
    claims_map = read_claims_map(config.claims.columns)
    _check_rows_alone(claims_map)
    below = claims_map.table if claims_map.table and raw.folder.is_folder(claims_map.table) else None
    return join(config.input, below) if below else config.input


def _check_rows_alone(claims_map: ClaimsMap) -> None:
    """Raise ContractError where what a row means depends on other rows."""
    status, birth = claims_map.status, claims_map.birth
    found = {
        "dates": claims_map.dates,
        "header": claims_map.header,
        "status.reversed and status.replacement": status and (status.reversed or status.replacement),
        "birth.table": birth and birth.table,
        "drop_duplicate_lines": claims_map.drop_duplicate_lines,
        "diagnoses.repeat_on_lines": claims_map.diagnoses.repeat_on_lines,
    }
    rules = [name for name, there in found.items() if there]
    if rules:
        raise ContractError(
            f"the column map has {', '.join(rules)}",
            "claims that are followed come in batches, and these rules need rows of other batches",
            "ingest everything whole, without --follow; or take the rules out of the map",
        )
