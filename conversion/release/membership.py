"""Can somebody tell who was in the training data? The loss of training against held-out patients.

The attack: a patient of low masked-code loss is called a training patient (Yeom et al. 2018, Privacy Risk in
Machine Learning). An AUC of 0.5 is guessing. The confidence interval is DeLong's (Biometrics 1988).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from conversion.model_folder import ModelFolder
from conversion.patients.patient_blocks import blocks_for
from conversion.patients.patient_files import Patients, open_patients
from conversion.release.checks import Check
from schemas.small_cells import publishable, published_in_words

_SHARE_MASKED = 0.15
_DRAWS = 4
_SLOTS = 4096
_NOT_MASKED = -1
_Z95 = 1.959964


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve and its 95% confidence interval."""

    value: float
    low: float
    high: float


def check_membership(
    model: ModelFolder, training: str, held_out: str, patients: int, max_auc: float, seed: int
) -> Check:
    """training, held_out: shards folders. At most so many patients of each are tried.

    Passes where the whole confidence interval lies below max_auc: too few patients can't prove anything.
    """
    losses = [patient_losses(model, first_patients(uri, patients), seed) for uri in (training, held_out)]
    auc = area_under_roc(*losses)
    passed = auc.high <= max_auc
    tried = [publishable(len(of_split), len(of_split)) for of_split in losses]
    trained, held_out = map(published_in_words, tried)
    tried_in_words = (
        f"{trained} training patients are told from {held_out} held-out ones with an "
        f"AUC of {auc.value:.3f} (95% interval {auc.low:.3f} to {auc.high:.3f}; at most {max_auc:g} passes; "
        "0.5 is guessing)"
    )
    found = {
        "auc": auc.value,
        "interval_95": [auc.low, auc.high],
        "max_auc": max_auc,
        "training_patients": tried[0],
        "held_out_patients": tried[1],
        "mean_loss_of_training_patients": float(losses[0].mean()) if len(losses[0]) else None,
        "mean_loss_of_held_out_patients": float(losses[1].mean()) if len(losses[1]) else None,
    }
    not_compared = ["whether the given shards are those that the model was trained on"]
    return Check("membership inference", passed, tried_in_words, found, not_compared)


def first_patients(uri: str, most: int) -> Patients:
    """The first patients of a shards folder, whose rows are in random order."""
    _, files = open_patients(uri)
    chunks = itertools.chain.from_iterable(file.read(most) for file in files)
    found: list[Patients] = []
    while sum(map(len, found)) < most and (chunk := next(chunks, None)) is not None:
        found.append(chunk)
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(chunk.offsets) for chunk in found)])[:most]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    none = np.zeros(0, np.int64)
    return Patients(
        token_ids=np.concatenate([none, *(chunk.token_ids for chunk in found)])[: offsets[-1]],
        visit_numbers=np.concatenate([none, *(chunk.visit_numbers for chunk in found)])[: offsets[-1]],
        offsets=offsets,
    )


def patient_losses(model: ModelFolder, patients: Patients, seed: int) -> np.ndarray:
    """(P',) mean masked-code loss of each patient with a code, over several draws of masks.

    Only codes that the model reads are masked: the latest of a long patient.
    """
    patients = patients.latest(model.max_seq_length)
    network = _load(model.path)
    rng = np.random.default_rng(seed)
    sums, counts = np.zeros(len(patients)), np.zeros(len(patients))
    for _ in range(_DRAWS):
        masked, labels = _mask(patients, model, rng)
        pairs = zip(blocks_for(model, masked, _SLOTS), blocks_for(model, labels, _SLOTS), strict=True)
        for block, label_block in pairs:
            of_row, losses = _losses(
                network, block, np.where(block.attention_mask, label_block.input_ids, -1)
            )
            np.add.at(sums, block.rows[of_row], losses)
            np.add.at(counts, block.rows[of_row], 1)
    tried = counts > 0
    return sums[tried] / counts[tried]


def area_under_roc(lower: np.ndarray, higher: np.ndarray) -> Auc:
    """How often a value of `lower` (M,) is below one of `higher` (N,), ties counted half."""
    from scipy.stats import rankdata

    num_lower, num_higher = len(lower), len(higher)
    if min(num_lower, num_higher) < 2:
        return Auc(float("nan"), 0.0, 1.0)
    ranks = rankdata(np.concatenate([lower, higher]))
    # Placements: of each value, the share of the other group that it is on the right side of.
    of_lower = 1 - (ranks[:num_lower] - rankdata(lower)) / num_higher
    of_higher = (ranks[num_lower:] - rankdata(higher)) / num_lower
    value = float(of_higher.mean())
    error = float(np.sqrt(of_lower.var(ddof=1) / num_lower + of_higher.var(ddof=1) / num_higher))
    return Auc(value, max(0.0, value - _Z95 * error), min(1.0, value + _Z95 * error))


def _mask(patients: Patients, model: ModelFolder, rng: np.random.Generator) -> tuple[Patients, Patients]:
    """The patients with some codes masked, and the same with the masked codes as tokens, all others -1.

    Masked is a share of each patient's codes, one at least; never a special token.
    """
    lengths = np.diff(patients.offsets)
    patient = np.repeat(np.arange(len(patients)), lengths)
    place = np.arange(len(patient)) - np.repeat(patients.offsets[:-1], lengths)
    special = np.isin(patients.token_ids, list(model.special.ids))
    draw = np.where(special, 2.0, rng.random(len(patient)))
    order = np.lexsort((draw, patient))
    rank = np.empty(len(patient), np.int64)
    rank[order] = place  # the smallest draw of each patient has rank 0
    wanted = np.maximum(1, np.round(_SHARE_MASKED * lengths))
    chosen = (rank < wanted[patient]) & ~special
    masked = np.where(chosen, model.special.mask, patients.token_ids)
    labels = np.where(chosen, patients.token_ids, _NOT_MASKED)
    return (
        Patients(masked, patients.visit_numbers, patients.offsets),
        Patients(labels, patients.visit_numbers, patients.offsets),
    )


def _load(folder: str) -> Any:
    import torch
    from transformers import AutoModelForPreTraining

    return AutoModelForPreTraining.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()


def _losses(network: Any, block: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) rows of the block and (K,) losses of its masked codes. labels: (B, T), -1 where none is masked."""
    import torch
    from torch.nn.functional import cross_entropy

    rows, columns = np.nonzero(labels >= 0)
    with torch.inference_mode():
        encoded = network.bert(
            torch.from_numpy(block.input_ids),
            attention_mask=torch.from_numpy(block.attention_mask),
            token_type_ids=torch.from_numpy(block.visit_numbers),
        ).last_hidden_state
        logits = network.cls.predictions(encoded[rows, columns])
        losses = cross_entropy(logits, torch.from_numpy(labels[rows, columns]), reduction="none")
    return rows, losses.numpy()
