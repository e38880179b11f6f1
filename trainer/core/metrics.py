"""Sums that add up over batches and ranks; divided once, at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

TOP_K = (1, 5, 10)


def count_hits(ranks: np.ndarray) -> np.ndarray:
    """(len(TOP_K),) float64: how many of the ranks (from 0) are among the first k."""
    return np.asarray([np.count_nonzero(ranks < k) for k in TOP_K], np.float64)


def count_top_hits(top_codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(len(TOP_K),) float64: for how many labels (M,) the first k of top_codes (M, 10) hold the label."""
    hits = top_codes == labels[:, None]
    return np.asarray([np.count_nonzero(hits[:, :k].any(axis=1)) for k in TOP_K], np.float64)


def ratio(numerator: float, denominator: float) -> float | None:
    """None where there was nothing to count."""
    return float(numerator / denominator) if denominator else None


def area_under_roc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Exact AUC, ties counted half; None where only one class is present. scores, labels: (P,)."""
    positives = int(np.count_nonzero(labels))
    negatives = len(labels) - positives
    if not positives or not negatives or not np.isfinite(scores).all():
        return None
    ordered = np.sort(scores)
    of_positives = scores[labels == 1]
    # Twice the mean rank of each value among all, ties sharing theirs. (scipy's takes a second to import.)
    ranks = ordered.searchsorted(of_positives, "left") + ordered.searchsorted(of_positives, "right") + 1
    rank_sum = ranks.sum() / 2
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


@dataclass
class IntervalMeans:
    """Means over the steps since the last progress line, weighted by what each step's loss was divided by."""

    steps: int = 0
    patients: int = 0
    codes: int = 0
    masked_codes: int = 0
    slots: int = 0
    mlm_loss_sum: float = 0.0
    los_loss_sum: float = 0.0
    gradient_norm_sum: float = 0.0

    def add(
        self,
        *,
        patients: int,
        codes: int,
        masked_codes: int,
        slots: int,
        mlm_loss: float,
        los_loss: float,
        gradient_norm: float,
    ) -> None:
        self.steps += 1
        self.patients += patients
        self.codes += codes
        self.masked_codes += masked_codes
        self.slots += slots
        self.mlm_loss_sum += mlm_loss * masked_codes
        self.los_loss_sum += los_loss * patients
        self.gradient_norm_sum += gradient_norm

    def means(self) -> dict[str, float | None]:
        return {
            "mlm_loss": ratio(self.mlm_loss_sum, self.masked_codes),
            "los_loss": ratio(self.los_loss_sum, self.patients),
            "gradient_norm": ratio(self.gradient_norm_sum, self.steps),
            "slots_filled": ratio(self.codes, self.slots),
        }


@dataclass
class EvaluationSums:
    """What one rank adds to an evaluation."""

    mlm_loss: float = 0.0
    los_loss: float = 0.0
    masked_codes: int = 0
    patients: int = 0
    model_hits: np.ndarray = field(default_factory=lambda: np.zeros(len(TOP_K)))

    def to_array(self) -> np.ndarray:
        return np.asarray(
            [self.mlm_loss, self.los_loss, self.masked_codes, self.patients, *self.model_hits], np.float64
        )

    @classmethod
    def from_array(cls, values: np.ndarray) -> EvaluationSums:
        return cls(float(values[0]), float(values[1]), int(values[2]), int(values[3]), values[4:])
