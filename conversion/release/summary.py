"""What the card says of the training data and of the model's accuracy; patients are rounded to tens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import fsspec

from conversion.model_folder import ModelFolder
from schemas.codes import SEPARATOR
from schemas.errors import ContractError
from schemas.histogram import quantile
from schemas.manifest import join
from schemas.sequences import SPLITS
from schemas.shards import PARQUET, read_shard_set
from schemas.small_cells import publishable
from schemas.training_log import EVAL


def data_summary(model: ModelFolder, shards: str) -> dict[str, Any]:
    """Of each split: patients, codes, codes a patient; of the vocabulary: codes by system."""
    splits = {}
    for split in SPLITS:
        found = read_shard_set(join(shards, split), PARQUET)
        lengths = found.length_histogram
        splits[split] = {
            "patients": publishable(found.num_patients, found.num_patients),
            "codes": publishable(found.num_codes, found.num_patients),
            "median_codes": quantile(lengths, 0.5) if lengths else None,
            "codes_of_95_percent": quantile(lengths, 0.95) if lengths else None,
            "fingerprint": found.fingerprint,
            "vocabulary_fingerprint": found.vocabulary_fingerprint,
        }
    systems = Counter(code.partition(SEPARATOR)[0] if SEPARATOR in code else "other" for code in model.codes)
    return {"splits": splits, "codes_by_system": dict(sorted(systems.items()))}


def last_evaluation(metrics: str, step: int | None) -> Mapping[str, Any]:
    """The evaluation at the model's step, else the last one, of metrics.jsonl. Raises ContractError."""
    filesystem, path = fsspec.core.url_to_fs(metrics)
    lines = [json.loads(line) for line in filesystem.cat_file(path).decode().splitlines()]
    evaluations = [line for line in lines if line["kind"] == EVAL]
    if not evaluations:
        raise ContractError(
            f"{metrics} has no evaluation",
            "the card states the model's accuracy beside its baselines",
            "let the run evaluate (eval_every)",
        )
    return next((line for line in reversed(evaluations) if line["step"] == step), evaluations[-1])
