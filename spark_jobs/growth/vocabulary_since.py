"""An old vocabulary's counts brought up to date with the diagnoses that came since, exactly.

A code of the old vocabulary: its count, and what the patients with new rows have more of it now. Any other
code: its count is not known, as codes of few patients are not kept, so all its rows are counted, which are
few. One look at all rows' patients and codes, then, each partition of patients where its files are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from schemas import diagnoses
from schemas.batches import files_since
from schemas.diagnoses import CODE, PATIENT_ID
from schemas.manifest import join
from schemas.parquet import open_parquet
from schemas.vocabulary import TABLE_FILE, SpecialTokens
from spark_jobs.files.diagnosis_files import KEYS, are_in
from spark_jobs.files.publish import Published, read_file
from spark_jobs.growth.grown_rows import GrownRows
from spark_jobs.patient_partitions import IS_NEW, patient_partitions
from spark_jobs.patient_rows import partitions_to_shuffle
from spark_jobs.transforms.vocabulary import COUNTS, count_batch, count_codes


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
    content = read_file(spark, old, TABLE_FILE)
    table = open_parquet(content, join(old.uri, TABLE_FILE)).read()
    codes = table.slice(special.first_code_id).select(["token", *COUNTS])
    known = frozenset(codes["token"].to_pylist())
    num_partitions = partitions_to_shuffle(source)
    frame, partitions = patient_partitions(spark, source, num_partitions, KEYS, new_files)

    def count(partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        grown = GrownRows(partitions.here(partition), source.uri)
        yield from _counted(_rows(grown, known), known, salt, only_training)

    more = count_codes(frame, len(partitions.files), count).toArrow()
    both = pa.concat_tables([codes, more.cast(codes.schema)])
    added = both.group_by("token").aggregate([(name, "sum") for name in COUNTS])
    counted = added.rename_columns({f"{name}_sum": name for name in COUNTS})
    return counted.filter(pc.field("num_patients") > 0) if only_training else counted


def _rows(grown: GrownRows, known: Collection[str]) -> pa.RecordBatch:
    """All rows of the patients who have new ones, and all rows of codes that are not known."""
    touched = grown.new_patients()
    return grown.rows(KEYS, lambda rows: are_in(rows[PATIENT_ID], touched) | ~are_in(rows[CODE], known))


def _counted(
    rows: pa.RecordBatch, known: Collection[str], salt: str, only_training: bool
) -> Iterator[pa.RecordBatch]:
    """COUNTED_DDL of whole patients' rows: what is to be added to the old counts."""
    is_known = are_in(rows[CODE].dictionary_encode(), known)
    of_old = rows.filter(pa.array(is_known))
    yield count_batch(of_old, salt, False)
    before = count_batch(of_old.filter(pc.invert(of_old[IS_NEW])), salt, False)
    less = {name: pc.negate(before[name]) for name in COUNTS}
    yield pa.RecordBatch.from_pydict({"token": before["token"], **less})
    yield count_batch(rows.filter(pa.array(~is_known)), salt, only_training)
