"""An old vocabulary's counts brought up to date with the diagnoses that came since, exactly.

A code of the old vocabulary: its count, and what the patients with new rows have more of it now. Any other
code: its count is not known, as codes of few patients are not kept, so all its rows are counted, which are
few. One look at all rows, then, and only those of these patients and codes are moved and counted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas import diagnoses
from schemas.batches import files_since
from schemas.diagnoses import CODE, PATIENT_ID
from schemas.manifest import ManifestFile
from schemas.vocabulary import TABLE_FILE, SpecialTokens
from spark_jobs.new_rows import IS_NEW, seen_and_new_rows
from spark_jobs.patient_rows import PatientRows
from spark_jobs.publish import Published
from spark_jobs.storage import Folder
from spark_jobs.transforms.layout import num_partitions_for
from spark_jobs.transforms.vocabulary import COUNTS, count_batch, count_codes
from spark_jobs.worker_errors import errors_of_workers

TOUCHED, KNOWN = "touched", "known"


def count_since(
    spark: SparkSession,
    source: Published,
    old: Published,
    special: SpecialTokens,
    salt: str,
    only_training: bool,
) -> pa.Table | None:
    """(token, num_patients, num_occurrences), as transforms.vocabulary.count_codes of all diagnoses.

    None where the old vocabulary was not counted from an earlier state of these diagnoses.
    """
    new_files = files_since(source.manifest, old.manifest.inputs.get(diagnoses.KIND, ""))
    if new_files is None:
        return None
    table = pq.read_table(io.BytesIO(Folder(spark, old.uri).read_bytes(TABLE_FILE)))
    codes = table.slice(special.first_code_id).select(["token", *COUNTS])

    patient_rows = PatientRows(source.uri)

    def count(partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in patient_rows.batches(partition):
            yield from _counted(rows, salt, only_training)

    rows = _rows(spark, source, new_files, codes["token"].to_pylist())
    with errors_of_workers():
        more = count_codes(rows, num_partitions_for(source.manifest.num_rows), count).toArrow()
    both = pa.concat_tables([codes, more.cast(codes.schema)])
    added = both.group_by("token").aggregate([(name, "sum") for name in COUNTS])
    counted = added.rename_columns({f"{name}_sum": name for name in COUNTS})
    return counted.filter(pc.field("num_patients") > 0) if only_training else counted


def _rows(
    spark: SparkSession, source: Published, new_files: Sequence[ManifestFile], tokens: Sequence[str]
) -> DataFrame:
    """Patient and code of the rows to count, a patient's together, with TOUCHED, KNOWN and IS_NEW."""
    seen, new = (
        rows.select(PATIENT_ID, CODE, IS_NEW) for rows in seen_and_new_rows(spark, source, new_files)
    )
    touched = new.select(PATIENT_ID).distinct().withColumn(TOUCHED, F.lit(True))
    known = spark.createDataFrame(pa.table({CODE: tokens, KNOWN: [True] * len(tokens)}))
    joined = (
        seen.unionByName(new)
        .join(F.broadcast(touched), PATIENT_ID, "left")
        .join(F.broadcast(known), CODE, "left")
    )
    flags = {name: F.coalesce(name, F.lit(False)) for name in (TOUCHED, KNOWN)}
    counted = joined.withColumns(flags).where(F.col(TOUCHED) | ~F.col(KNOWN))
    return counted.repartition(PATIENT_ID).sortWithinPartitions(PATIENT_ID)


def _counted(rows: pa.RecordBatch, salt: str, only_training: bool) -> Iterator[pa.RecordBatch]:
    """COUNTED_DDL of whole patients' rows: what is to be added to the old counts."""
    of_old = rows.filter(rows[KNOWN])
    yield count_batch(of_old, salt, False)
    before = count_batch(of_old.filter(pc.invert(of_old[IS_NEW])), salt, False)
    less = {name: pc.negate(before[name]) for name in COUNTS}
    yield pa.RecordBatch.from_pydict({"token": before["token"], **less})
    yield count_batch(rows.filter(pc.invert(rows[KNOWN])), salt, only_training)
