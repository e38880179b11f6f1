"""`python -m conversion release-check`: may this model folder be given away? The card says so, and why."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from conversion.extend_vocabulary import read_counts
from conversion.model_folder import ModelFolder, open_model
from conversion.patients.patient_files import open_patients
from conversion.patients.same_ids import check_same_ids
from conversion.release.card import release_part
from conversion.release.card_part import with_part, without_part
from conversion.release.checks import Check
from conversion.release.files import check_files
from conversion.release.membership import check_membership
from conversion.release.patient_data import check_patient_data
from conversion.release.small_cells import check_small_cells
from conversion.release.summary import accuracy_summary, data_summary
from schemas.errors import ContractError
from schemas.files import write_whole
from schemas.lease import hold
from schemas.manifest import Manifest, join, read_manifest
from schemas.model import CARD_FILE, RELEASE_REPORT_FILE
from schemas.sequences import KIND, TEST, TRAIN
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
    metrics: str | None = None
    """metrics.jsonl of the pretraining, for the accuracy; without it the card says that it is not known."""
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
    """Check, write card and report, return the report. Raises ReleaseRefused where a check failed.

    Once all that it needs is there, an earlier verdict is taken back: a check that doesn't come to its end
    leaves none, neither on the card nor as a report.
    """
    with hold(config.model):
        return _check(config, membership)


def _check(config: ReleaseConfig, membership: Callable[..., Check]) -> dict[str, Any]:
    model = open_model(config.model)
    shards = {}
    for split in (TRAIN, TEST):
        uri = join(config.shards, split)
        shards[uri], _ = open_patients(uri)
        check_same_ids(model, shards[uri], uri, config.vocabulary)
    sequences = read_manifest(config.sequences, KIND)
    check_same_ids(model, sequences, config.sequences, config.vocabulary)
    _, patients = open_patients(config.sequences)
    same_patients = _are_same_patients(sequences, config.sequences, shards)
    counts = read_counts(config.vocabulary)
    data = data_summary(model, config.shards)
    step = model.manifest.details.get("step")
    accuracy = None if config.metrics is None else accuracy_summary(config.metrics, step)
    card = without_part(model.read_text(CARD_FILE))
    _take_back(config.model, card)
    checks = [
        check_small_cells(model, counts, config.min_patients),
        membership(
            model,
            join(config.shards, TRAIN),
            join(config.shards, TEST),
            config.patients,
            config.max_auc,
            config.seed,
        ),
        check_files(model),
    ]
    # The scan is over the card and the report as they will be, but for what it finds itself.
    drafts = _texts(card, _report(model, checks, data, accuracy), checks)
    patient_data = check_patient_data(model, patients, drafts)
    if not same_patients:
        patient_data.not_compared.append("whether the ids are of the patients in the shards")
    checks.append(patient_data)
    report = _report(model, checks, data, accuracy)
    for name, text in _texts(card, report, checks).items():
        write_whole(join(config.model, name), text.encode())
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


def _are_same_patients(sequences: Manifest, sequences_uri: str, shards: Mapping[str, Manifest]) -> bool:
    """Whether the shards (folder → manifest) were written from these sequences; False where they don't say.

    Raises ContractError where they were written from others: ids would be looked for of other patients than
    those in the shards.
    """
    for uri, of_split in shards.items():
        if of_split.inputs.get(KIND, sequences.fingerprint) != sequences.fingerprint:
            raise ContractError(
                f"{uri} was not written from {sequences_uri} as it is now",
                "the ids that are looked for are those of the patients in the shards",
                "give sequences and shards of one run, or write the shards again (make shards)",
            )
    return all(KIND in of_split.inputs for of_split in shards.values())


def _take_back(folder: str, card: str) -> None:
    """Remove an earlier verdict. card: without it."""
    write_whole(join(folder, CARD_FILE), card.encode())
    report = join(folder, RELEASE_REPORT_FILE)
    if os.path.exists(report):
        os.remove(report)


def _report(
    model: ModelFolder, checks: Sequence[Check], data: Mapping[str, Any], accuracy: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "passed": all(check.passed for check in checks),
        "model_fingerprint": model.manifest.fingerprint,
        "checks": [asdict(check) for check in checks],
        "data": data,
        "evaluation": accuracy,
    }


def _texts(card: str, report: Mapping[str, Any], checks: Sequence[Check]) -> dict[str, str]:
    """File name → text, of the card and of the report; the one people read comes last."""
    return {
        RELEASE_REPORT_FILE: json.dumps(report, indent=2) + "\n",
        CARD_FILE: with_part(card, release_part(checks, report["data"], report["evaluation"])),
    }
