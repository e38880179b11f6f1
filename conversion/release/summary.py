"""What a release says of the training data and of the model's accuracy, by the small-cell rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

from conversion.model_folder import ModelFolder
from schemas.codes import SEPARATOR
from schemas.errors import ContractError
from schemas.histogram import quantile
from schemas.manifest import join
from schemas.sequences import SPLITS
from schemas.shards import PARQUET, read_shard_set
from schemas.small_cells import publishable, publishable_share
from schemas.training_log import EVAL, metric, read_log

_METRICS = (
    *("mlm_loss", "los_loss"),
    *(f"{whose}top_{k}" for whose in ("", "most_frequent_", "other_visits_") for k in (1, 5, 10)),
)
_DIGITS = 3
"""After the point: of a share in full, two whole numbers could be worked out that give it."""


def data_summary(model: ModelFolder, shards: str) -> dict[str, Any]:
    """Of each split: patients, codes, codes a patient; of the vocabulary: codes by system.

    Patients and codes are as schemas.small_cells.publishable gives them.
    """
    splits = {}
    for split in SPLITS:
        found = read_shard_set(join(shards, split), PARQUET)
        patients = publishable(found.num_patients, found.num_patients)
        lengths = found.length_histogram if patients else None
        splits[split] = {
            "patients": patients,
            "codes": publishable(found.num_codes, found.num_patients),
            "median_codes": quantile(lengths, 0.5) if lengths else None,
            "codes_of_95_percent": quantile(lengths, 0.95) if lengths else None,
            "fingerprint": found.fingerprint,
            "vocabulary_fingerprint": found.vocabulary_fingerprint,
        }
    systems = Counter(code.partition(SEPARATOR)[0] if SEPARATOR in code else "other" for code in model.codes)
    return {"splits": splits, "codes_by_system": dict(sorted(systems.items()))}


def accuracy_summary(metrics: str, step: int | None) -> dict[str, Any] | None:
    """The evaluation at the model's step, else the last one, of metrics.jsonl; only what may be given away.

    None where too few patients were evaluated. Where too few of them had a prolonged stay, or had none,
    nothing is said of such stays: los_base_rate and los_auc are None. Raises ContractError.
    """
    lines = read_log(metrics)
    evaluations = [line for line in lines or () if line["kind"] == EVAL]
    if not evaluations:
        raise ContractError(
            f"{metrics} has no evaluation" if lines is not None else f"there is no log at {metrics}",
            "the card states the model's accuracy beside its baselines, or that it is not known",
            "give the log of a run that evaluated (eval_every), or none for a checkpoint from elsewhere "
            "(make release-check METRICS=)",
        )
    last = next((line for line in reversed(evaluations) if line["step"] == step), evaluations[-1])
    patients = metric(last, "patients") or 0
    shown = publishable(patients, patients)
    if not shown:
        return None
    rate = metric(last, "los_base_rate")
    rate = None if rate is None else publishable_share(rate, patients)
    found = {name: metric(last, name) for name in _METRICS}
    found |= {"los_base_rate": rate, "los_auc": None if rate is None else metric(last, "los_auc")}
    rounded = {name: None if value is None else round(value, _DIGITS) for name, value in found.items()}
    return {"step": last["step"], "patients": shown} | rounded
