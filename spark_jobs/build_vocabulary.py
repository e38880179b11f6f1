"""diagnoses/ → vocabulary/, codes counted over the training split; or a Med-BERT `.types` file instead.

Or an older vocabulary with new codes appended: ids never change, so what was written with the older one can
go on with this.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession

from schemas import diagnoses
from schemas.errors import ContractError
from schemas.manifest import Manifest
from schemas.medbert_types import export_types
from schemas.vocabulary import KIND, SMALL_CELL_MIN_PATIENTS
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.publish import Published, publish, read_published, start_output
from spark_jobs.files.replacing import finish_take_over, start_next, take_over
from spark_jobs.files.storage import Folder
from spark_jobs.vocabularies import import_vocabulary, read_tokens, write_vocabulary
from spark_jobs.vocabulary_counting import count_vocabulary, extend_vocabulary
from spark_jobs.worker_errors import errors_of_workers

log = logging.getLogger(__name__)
DEFAULT_SALT = "medbert-lake"


@dataclass(frozen=True)
class BuildVocabulary:
    """Number the codes.

    Args:
        output: folder for the vocabulary.
        diagnoses: the diagnoses to count.
        types: a Med-BERT .types file to import in place of diagnoses; its ids stay as they are.
        min_patients: a code that fewer patients of the training split have is left out. 1 is no minimum at
            all, codes of valid and test patients included. Below 11 the vocabulary may not be published.
        split_salt: decides who is train, valid and test; the sequences take it from the vocabulary. By
            default medbert-lake, or that of the vocabulary to extend.
        extend: a vocabulary whose codes all stay, with their ids, and to which new ones are appended; it may
            be the output itself.
        export_types: a path to write the vocabulary to as a .types file, too.
    """

    output: str
    diagnoses: str | None = None
    types: str | None = None
    min_patients: int = SMALL_CELL_MIN_PATIENTS
    split_salt: str | None = None
    extend: str | None = None
    export_types: str | None = None


@holds_outputs("output")
@errors_of_workers()
def main(spark: SparkSession, config: BuildVocabulary) -> None:
    _check(config)
    in_place = config.extend is not None and _is_same(spark, config.output, config.extend)
    if config.extend:
        (take_over if in_place else finish_take_over)(spark, config.extend, KIND)
    old = read_published(spark, config.extend, KIND) if config.extend else None
    salt = _salt(config, old)
    source = read_published(spark, config.diagnoses, diagnoses.KIND) if config.diagnoses else None
    parameters = {"min_patients": config.min_patients if source else None, "split_salt": salt}
    if in_place and _is_current(old.manifest, source.manifest, parameters):
        log.info("%s was counted from %s as they are: nothing to do", old.uri, source.uri)
        _export(spark, config, read_tokens(spark, old)[0])
        return
    inputs = [of.uri for of in (source, old) if of]
    output = start_next(spark, old.uri) if in_place else start_output(spark, config.output, inputs)
    if source is None:
        made = import_vocabulary(spark, config.types)
    elif old is not None:
        made = extend_vocabulary(spark, source, old, config.min_patients)
    else:
        made = count_vocabulary(spark, source, salt, config.min_patients)
    files = write_vocabulary(output, made)
    _export(spark, config, made.tokens)
    details = {"special_tokens": asdict(made.special), "min_patients": made.min_patients} | made.details
    publish(output, Manifest(KIND, parameters, made.inputs, tuple(files), made.counts, details))
    if in_place:
        take_over(spark, config.output, KIND)


def _is_same(spark: SparkSession, uri: str, other: str) -> bool:
    return Folder(spark, uri).qualified == Folder(spark, other).qualified


def _export(spark: SparkSession, config: BuildVocabulary, tokens: Sequence[str]) -> None:
    if config.export_types:
        Folder(spark, config.export_types).write_bytes("", export_types(tokens))


def _is_current(made: Manifest, source: Manifest, parameters: dict) -> bool:
    return made.inputs.get(diagnoses.KIND) == source.fingerprint and dict(made.parameters) == parameters


def _salt(config: BuildVocabulary, old: Published | None) -> str:
    """Raises ContractError for another salt than that of the vocabulary to extend."""
    if old is None:
        return config.split_salt or DEFAULT_SALT
    salt = old.manifest.parameters["split_salt"]
    if config.split_salt not in (None, salt):
        raise ContractError(
            f"split_salt is {config.split_salt}, and that of {old.uri} is {salt}",
            "patients never change sides, so an extension keeps the salt",
            "leave --split_salt out, or build a vocabulary from nothing",
        )
    return salt


def _check(config: BuildVocabulary) -> None:
    if (config.diagnoses is None) == (config.types is None):
        raise ContractError(
            "there are both diagnoses and types" if config.types else "there are neither diagnoses nor types",
            "a vocabulary is counted from diagnoses or imported from a .types file",
            "give one of --diagnoses and --types",
        )
    if config.types and config.extend:
        raise ContractError(
            f"there are both types, {config.types}, and extend",
            "a vocabulary is extended with the codes of diagnoses",
            "import the .types file first, then extend what it became",
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
