"""`python -m conversion release-check`: may this model folder be given away? The card says so, and why."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from conversion.extend_vocabulary import read_counts
from conversion.model_folder import ModelFolder, open_model
from conversion.patients.patient_files import open_patients
from conversion.patients.same_ids import check_same_ids
from conversion.release.card import with_release_part
from conversion.release.checks import Check
from conversion.release.files import check_files, check_patient_data
from conversion.release.membership import check_membership
from conversion.release.small_cells import check_small_cells
from conversion.release.summary import data_summary, last_evaluation
from schemas.errors import ContractError
from schemas.manifest import join
from schemas.model import CARD_FILE, RELEASE_REPORT_FILE
from schemas.sequences import TEST, TRAIN
from schemas.vocabulary import SMALL_CELL_MIN_PATIENTS

_log = logging.getLogger(__name__)


class ReleaseRefused(ContractError):
    """A check failed."""


@dataclass(frozen=True, kw_only=True)
class ReleaseConfig:
    """One release."""

    model: str
    """The local model folder; its card and release_report.json are written."""
    vocabulary: str
    """The vocabulary folder that the shards were written with, with the patients of each code."""
    sequences: str
    """The sequences folder, for the patients' ids."""
    shards: str
    """The shards folder, with train/ and test/, for the data summary and the membership test."""
    metrics: str
    """metrics.jsonl of the pretraining, for the accuracy."""
    min_patients: int = SMALL_CELL_MIN_PATIENTS
    """A code of fewer training patients may not be shown."""
    patients: int = 2_000
    """Training and held-out patients, each, that the membership test tries at most."""
    max_auc: float = 0.55
    """The membership test passes where its 95% confidence interval ends below this."""
    seed: int = 0
    """Of the membership test's masks."""


def release_check(
    config: ReleaseConfig, *, membership: Callable[..., Check] = check_membership
) -> dict[str, Any]:
    """Check, write card and report, return the report. Raises ReleaseRefused where a check failed."""
    model = open_model(config.model)
    for split in (TRAIN, TEST):
        shards = join(config.shards, split)
        check_same_ids(model, open_patients(shards)[0], shards, config.vocabulary)
    checks = [
        check_small_cells(model, read_counts(config.vocabulary), config.min_patients),
        membership(
            model,
            join(config.shards, TRAIN),
            join(config.shards, TEST),
            config.patients,
            config.max_auc,
            config.seed,
        ),
    ]
    data = data_summary(model, config.shards)
    evaluation = last_evaluation(config.metrics, model.manifest.details.get("step"))
    # The scan comes last, over the card and the report as they will be.
    _write(config, model, checks, data, evaluation)
    _, patients = open_patients(config.sequences)
    checks += [check_files(model), check_patient_data(model, patients)]
    report = _write(config, model, checks, data, evaluation)
    for check in checks:
        _log.log(
            logging.INFO if check.passed else logging.ERROR,
            "%s: %s: %s", "passed" if check.passed else "FAILED", check.name, check.in_words,
        )  # fmt: skip
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise ReleaseRefused(
            f"{config.model} failed: {', '.join(failed)}",
            "a model is given away only when every check passes",
            f"see {RELEASE_REPORT_FILE} beside it",
        )
    return report


def _write(
    config: ReleaseConfig,
    model: ModelFolder,
    checks: list[Check],
    data: dict[str, Any],
    evaluation: Any,
) -> dict[str, Any]:
    report = {
        "passed": all(check.passed for check in checks),
        "model_fingerprint": model.manifest.fingerprint,
        "checks": [asdict(check) for check in checks],
        "data": data,
        "evaluation": dict(evaluation),
    }
    card = with_release_part(model.read_text(CARD_FILE), checks, data, evaluation)
    for name, text in ((CARD_FILE, card), (RELEASE_REPORT_FILE, json.dumps(report, indent=2) + "\n")):
        with open(join(config.model, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return report
