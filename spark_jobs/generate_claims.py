"""Synthetic patients' claims, drawn from a disease model → claims/ (folders claims/ and patients/)."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass

from pyspark.sql import Column, Observation, SparkSession
from pyspark.sql import functions as F

from schemas.claims import CLAIMS, CLAIMS_FOLDER, KIND, PATIENTS_FOLDER
from schemas.errors import ContractError
from schemas.manifest import Manifest
from spark_jobs.config import run_job
from spark_jobs.files.leases import holds_outputs
from spark_jobs.files.publish import publish, start_private, write_parquet
from spark_jobs.generator.arrow import MOST_PATIENTS
from spark_jobs.generator.block import Plan
from spark_jobs.generator.frames import NUM_DIAGNOSES, claims_frame, patients_frame
from spark_jobs.generator.model_file import read_disease_model
from spark_jobs.worker_errors import errors_of_workers

log = logging.getLogger(__name__)

# Output files depend on the number of patients alone, never on cores: so the bytes do not, either.
MOST_FILES = 128


@dataclass(frozen=True)
class GenerateClaims:
    """Generate synthetic claims.

    Args:
        output: folder for claims/, patients/ and the manifest.
        patients: how many patients. The first of a larger data set are those of a smaller one.
        seed: of the random numbers; the same seed gives the same bytes on any number of cores.
        first_year: first year of claims.
        last_year: last year of claims.
        patients_per_block: patients drawn together. Another number gives other patients.
        disease_model: a disease model of your own (YAML, path or URI) in place of the project's.
        shared_group: a group of this machine whose members may read the output; without it, its owner alone.
    """

    output: str
    patients: int = 20_000
    seed: int = 0
    first_year: int = 2010
    last_year: int = 2021
    patients_per_block: int = 5_000
    disease_model: str | None = None
    shared_group: str | None = None


@holds_outputs("output")
@errors_of_workers()
def main(spark: SparkSession, config: GenerateClaims) -> None:
    _check(config)
    model = read_disease_model(config.disease_model)
    plan = Plan(config.patients, config.seed, config.first_year, config.last_year, config.patients_per_block)
    num_files = min(plan.num_blocks, MOST_FILES)
    subfolders = (CLAIMS_FOLDER, PATIENTS_FOLDER)
    output = start_private(spark, config.output, config.shared_group, subfolders=subfolders)
    log.info(
        "%d patients in %d blocks, %d conditions", plan.num_patients, plan.num_blocks, len(model.conditions)
    )

    started = time.monotonic()
    seen = Observation()
    claims = claims_frame(spark, model, plan, num_files).observe(seen, *_counters())
    files = write_parquet(claims.select(*CLAIMS.column_names), output, subfolder=CLAIMS_FOLDER)
    if not seen.get["claims"]:
        raise ContractError(
            f"not one of the patients has a claim, patients {config.patients} and seed {config.seed}",
            "claims have at least one row",
            "give more --patients (PATIENTS), another --seed (SEED) or more years",
        )
    patients = patients_frame(spark, model, plan, num_files)
    files += write_parquet(patients, output, subfolder=PATIENTS_FOLDER)
    log.info("%.0f patients a second", plan.num_patients / (time.monotonic() - started))

    parameters = {
        "patients": config.patients,
        "seed": config.seed,
        "first_year": config.first_year,
        "last_year": config.last_year,
        "patients_per_block": config.patients_per_block,
        "disease_model": model.fingerprint,
    }
    publish(output, Manifest(KIND, parameters, files=tuple(files), counts=_counts(config, seen.get)))


def _counters() -> list[Column]:
    """Claims and diagnoses, those of stays and those in ICD-9-CM."""
    stay, icd9, diagnoses = F.col("setting") == "inpatient", F.col("icd_version") == 9, F.col(NUM_DIAGNOSES)
    return [
        F.count(F.lit(1)).alias("claims"),
        F.count_if(stay).alias("claims_inpatient"),
        F.count_if(icd9).alias("claims_icd9"),
        F.sum(diagnoses).alias("diagnoses"),
        F.sum(F.when(stay, diagnoses)).alias("diagnoses_inpatient"),
        F.sum(F.when(icd9, diagnoses)).alias("diagnoses_icd9"),
    ]


def _counts(config: GenerateClaims, seen: dict[str, int | None]) -> dict[str, int]:
    """The manifest's counts: every setting and code system, from the counters of one of each."""
    counts = {"patients": config.patients} | {name: count or 0 for name, count in seen.items()}
    for table in ("claims", "diagnoses"):
        counts[f"{table}_outpatient"] = counts[table] - counts[f"{table}_inpatient"]
        counts[f"{table}_icd10"] = counts[table] - counts[f"{table}_icd9"]
    return counts


def _check(config: GenerateClaims) -> None:
    """Raise ContractError for an option out of range."""
    rules = [
        (1 <= config.patients < MOST_PATIENTS, "patients", f"it is from 1 to {MOST_PATIENTS - 1}"),
        (0 <= config.seed < 2**63, "seed", "it is 0 or more, and below 2^63"),
        (
            1900 <= config.first_year <= config.last_year <= 2100,
            "first_year",
            "1900 ≤ first_year ≤ last_year ≤ 2100",
        ),
        (1 <= config.patients_per_block <= 100_000, "patients_per_block", "it is from 1 to 100000"),
    ]
    for holds, name, rule in rules:
        if not holds:
            raise ContractError(f"{name} is {getattr(config, name)}", rule, f"give another --{name}")


if __name__ == "__main__":
    sys.exit(run_job(GenerateClaims, main))
