"""A vocabulary counted from diagnoses, from nothing or on top of an older one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from schemas import diagnoses
from schemas.applied_maps import code_maps_details, of_both, read_code_maps
from schemas.errors import ContractError
from schemas.small_cells import is_small
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS, STANDARD_SPECIAL_TOKENS, extends_details
from spark_jobs.files.publish import Published
from spark_jobs.growth.vocabulary_since import count_since
from spark_jobs.patient_rows import frame_of_patients, partitions_to_shuffle
from spark_jobs.transforms.vocabulary import NO_MINIMUM, count_batch, count_codes, number_codes
from spark_jobs.vocabularies import NewVocabulary, read_tokens

log = logging.getLogger(__name__)

# The input's name in the manifest of an extension.
EXTENDED = "vocabulary_extended"


def count_vocabulary(spark: SparkSession, source: Published, salt: str, min_patients: int) -> NewVocabulary:
    """Count the training split's codes. Raises ContractError when none has enough patients."""
    counted = _count(spark, source, salt, min_patients)
    kept = counted.filter(_enough(counted, min_patients))
    if not kept.num_rows:
        raise ContractError(
            f"none of {counted.num_rows} codes in the training split has {min_patients} patients",
            "a vocabulary has at least one code",
            "lower --min_patients (MIN_PATIENTS), or take more data; for a handful of patients, none of "
            "them in the training split, another --split_salt",
        )
    table = number_codes(kept)
    counts = _counts(source, counted, kept) | {"codes": kept.num_rows}
    inputs = {diagnoses.KIND: source.manifest.fingerprint}
    details = code_maps_details(read_code_maps(source.manifest.details, source.uri))
    return NewVocabulary(table, STANDARD_SPECIAL_TOKENS, min_patients, inputs, counts, details)


def extend_vocabulary(
    spark: SparkSession, source: Published, old: Published, min_patients: int
) -> NewVocabulary:
    """An older vocabulary with the codes appended that have enough patients now, and every count anew.

    What it has stays, with its id, even where fewer than min_patients have it by now.
    """
    tokens, special = read_tokens(spark, old)
    salt = old.manifest.parameters["split_salt"]
    counted = count_since(spark, source, old, special, salt, min_patients > NO_MINIMUM)
    if counted is None:
        counted = _count(spark, source, salt, min_patients)
    is_old = pc.is_in(counted["token"], pa.array(tokens))
    kept = counted.filter(pc.or_(is_old, _enough(counted, min_patients)))
    table = number_codes(kept, tokens)
    patients = table["num_patients"].to_pylist()[special.first_code_id : len(tokens)]
    below = sum(number < min_patients for number in patients) if min_patients > NO_MINIMUM else 0
    if any(map(is_small, patients)):
        log.warning(
            "codes of %s that fewer than %d patients have by now stay, since ids never change: neither this "
            "vocabulary nor a model with it may be published under the small-cell rule",
            old.uri,
            SMALL_CELL_MIN_PATIENTS,
        )
    counts = _counts(source, counted, kept) | {
        "codes": table.num_rows - len(special.ids),
        "codes_appended": table.num_rows - len(tokens),
        "codes_kept_below_minimum": below,
    }
    inputs = {diagnoses.KIND: source.manifest.fingerprint, EXTENDED: old.manifest.fingerprint}
    holds = None if below else min_patients
    maps = of_both(*(read_code_maps(of.manifest.details, of.uri) for of in (old, source)))
    details = extends_details(old.manifest, len(tokens)) | code_maps_details(maps)
    return NewVocabulary(table, special, holds, inputs, counts, details)


def _count(spark: SparkSession, source: Published, salt: str, min_patients: int) -> pa.Table:
    """(token, num_patients, num_occurrences) of every code of the training split."""
    columns = (diagnoses.PATIENT_ID, diagnoses.CODE)
    num_partitions = partitions_to_shuffle(source)
    frame, patient_rows = frame_of_patients(spark, source, num_partitions, columns)
    only_training = min_patients > NO_MINIMUM

    def count(partition: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in patient_rows.batches(partition):
            yield count_batch(rows, salt, only_training)

    return count_codes(frame, num_partitions or len(source.manifest.files), count).toArrow()


def _enough(counted: pa.Table, min_patients: int) -> pa.ChunkedArray:
    """Whether each code has enough patients; at no minimum all have."""
    least = 0 if min_patients == NO_MINIMUM else min_patients
    return pc.greater_equal(counted["num_patients"], least)


def _counts(source: Published, counted: pa.Table, kept: pa.Table) -> dict[str, int]:
    """What the manifest says of the diagnoses, and of the codes that are not kept."""
    occurrences, of_kept = (pc.sum(table["num_occurrences"]).as_py() or 0 for table in (counted, kept))
    return {
        "rows_in": source.manifest.num_rows,
        "rows_of_training_split": occurrences,
        "codes_dropped": counted.num_rows - kept.num_rows,
        "rows_of_codes_dropped": occurrences - of_kept,
    }
