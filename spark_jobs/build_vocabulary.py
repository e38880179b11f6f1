"""diagnoses/ → vocabulary/, codes counted over the training split; or a Med-BERT `.types` file instead."""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession

from schemas import diagnoses
from schemas.errors import ContractError
from schemas.manifest import Manifest
from schemas.medbert_types import export_types
from schemas.vocabulary import KIND, SMALL_CELL_MIN_PATIENTS
from spark_jobs.config import run_job
from spark_jobs.publish import publish, read_published, start_output
from spark_jobs.storage import Folder
from spark_jobs.vocabularies import count_vocabulary, import_vocabulary, write_vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildVocabulary:
    """Number the codes.

    Args:
        output: folder for the vocabulary.
        diagnoses: the diagnoses to count.
        types: a Med-BERT .types file to import in place of diagnoses; its ids stay as they are.
        min_patients: a code that fewer patients of the training split have is left out. 1 is no minimum at
            all, codes of valid and test patients included. Below 11 the vocabulary may not be published.
        split_salt: decides who is train, valid and test; the sequences take it from the vocabulary.
        export_types: a path to write the vocabulary to as a .types file, too.
    """

    output: str
    diagnoses: str | None = None
    types: str | None = None
    min_patients: int = SMALL_CELL_MIN_PATIENTS
    split_salt: str = "medbert-lake"
    export_types: str | None = None


def main(spark: SparkSession, config: BuildVocabulary) -> None:
    _check(config)
    if config.types:
        output = start_output(spark, config.output)
        made = import_vocabulary(spark, config.types)
    else:
        source = read_published(spark, config.diagnoses, diagnoses.KIND)
        output = start_output(spark, config.output, [config.diagnoses])
        made = count_vocabulary(spark, source, config.split_salt, config.min_patients)
    files = write_vocabulary(output, made)
    if config.export_types:
        Folder(spark, config.export_types).write_bytes("", export_types(made.tokens))
    details = {"special_tokens": asdict(made.special), "min_patients": made.min_patients}
    parameters = {"min_patients": made.min_patients, "split_salt": config.split_salt}
    publish(output, Manifest(KIND, parameters, made.inputs, tuple(files), made.counts, details))


def _check(config: BuildVocabulary) -> None:
    if (config.diagnoses is None) == (config.types is None):
        raise ContractError(
            "there are both diagnoses and types" if config.types else "there are neither diagnoses nor types",
            "a vocabulary is counted from diagnoses or imported from a .types file",
            "give one of --diagnoses and --types",
        )
    if config.min_patients < 1:
        raise ContractError(
            f"min_patients is {config.min_patients}",
            "1 is no minimum at all",
            "give 1 or more (MIN_PATIENTS)",
        )
    if config.diagnoses and config.min_patients < SMALL_CELL_MIN_PATIENTS:
        log.warning(
            "min_patients %d: codes of fewer than %d patients are kept, so neither this vocabulary nor a "
            "model with it may be published under the small-cell rule",
            config.min_patients,
            SMALL_CELL_MIN_PATIENTS,
        )


if __name__ == "__main__":
    sys.exit(run_job(BuildVocabulary, main))
