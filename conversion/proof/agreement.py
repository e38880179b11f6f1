"""How far two computations of one network may differ: the one limit of every parity check.

Both compute in float32, whose rounding is relative: a product or a sum is off by up to 2^-24 of its size. So
an output's rounding grows with the values that the network computes with, not only with those that come out:
a log-probability of -0.1 that is the difference of two scores of 90 is off as these are, and a layer's output
as its attention scores are. It is therefore measured: one network is run in float64 too, and the largest
difference of its two runs is the rounding of that output.

An output's limit is 2e-5, or 8 times its rounding where that is more. Two times are used up by two runs with
their own rounding each; the rest is for frameworks that sum in another order, and for outputs of few values,
whose rounding may happen to be small. For these it is never taken as less than 2^-22 of the output's largest
value, four roundings; and never as more than 2^-13 of it, so that a network that computed in bfloat16 by
mistake is not called equal. The limit is thus 2e-5, or between 2^-19 and 2^-10 of the output's largest value.

Measured at the paper's size (82,603 codes, hidden size 192, 6 layers) and at BERT's own (768, 12), with small
and with large weights: the erf form of GELU changes some output by 30 times its rounding or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from schemas.model_config import LosPooling

Outputs = Mapping[str, np.ndarray]
FLOOR = 2e-5
TIMES_ROUNDING = 8
LEAST_ROUNDING, MOST_ROUNDING = 2.0**-22, 2.0**-13
RULE = (
    f"an output may differ by {FLOOR:g}, or by {TIMES_ROUNDING} times its own rounding in float32 where that "
    "is more"
)
_PER_POSITION = ("embeddings", "layer_", "sequence_output")
# A mean of values has their limit: its own rounding may happen to be 0.
_MEAN_OF = {"mlm_loss": "mlm_log_probs", "los_loss": "los_log_probs"}


@dataclass(frozen=True)
class Agreement:
    """Output → largest absolute difference, and → what it may be at most."""

    differences: Mapping[str, float]
    limits: Mapping[str, float]

    @property
    def failed(self) -> dict[str, float]:
        """Differences above the limit, or that are no number."""
        return {name: found for name, found in self.differences.items() if not found <= self.limits[name]}

    @property
    def worst(self) -> tuple[str, float]:
        """The output nearest to its limit or furthest beyond it, and its difference."""

        def used(name: str) -> float:
            share = self.differences[name] / self.limits[name]
            return share if share == share else float("inf")

        name = max(self.differences, key=used)
        return name, self.differences[name]

    def failed_in_words(self) -> str:
        """`mlm_log_probs 1.00e-03 (at most 8.7e-05)` of every output that failed."""
        return ", ".join(
            f"{name} {found:.2e} (at most {self.limits[name]:.1e})" for name, found in self.failed.items()
        )


def compare(other: Outputs, rounded: Outputs, exact: Outputs) -> Agreement:
    """Compare two networks by their runs, each as real_values gives it.

    rounded, exact: one network in float32 and in float64, which say what rounding does to it. other: the
    other network in float32. Every output of `rounded` is compared; one that `other` lacks, or has in
    another shape, is infinitely wrong.
    """
    of_values = {name: _limit(array, exact[name]) for name, array in rounded.items()}
    limits = {name: of_values[_MEAN_OF.get(name, name)] for name in rounded}
    return Agreement(largest_differences(other, rounded), limits)


def largest_differences(expected: Outputs, found: Outputs) -> dict[str, float]:
    """Output → largest absolute difference, infinite where `expected` lacks it or has another shape."""
    return {name: _difference(expected.get(name), array) for name, array in found.items()}


def real_values(
    outputs: Outputs, attention_mask: np.ndarray, los_pooling: LosPooling
) -> dict[str, np.ndarray]:
    """What is compared of a run's outputs. attention_mask: (B, T), boolean.

    Of outputs by position (B, T, H) the real tokens' (N, H). A prolonged-stay head that sums over T tokens
    sums their rounding too: its outputs are given per real token, as a mean would have them.
    """
    num_tokens = attention_mask.sum(axis=1)
    values = {}
    for name, array in outputs.items():
        if name.startswith(_PER_POSITION) and array.shape[:2] == attention_mask.shape:
            array = array[attention_mask]
        elif los_pooling == "sum" and name == "los_log_probs":
            array = array / num_tokens[:, np.newaxis]
        elif los_pooling == "sum" and name == "los_loss":
            array = array / num_tokens.mean()
        values[name] = array
    return values


def _limit(rounded: np.ndarray, exact: np.ndarray) -> float:
    largest = float(np.abs(exact).max(initial=0.0))
    rounding = np.clip(_difference(exact, rounded), LEAST_ROUNDING * largest, MOST_ROUNDING * largest)
    return max(FLOOR, TIMES_ROUNDING * float(rounding))


def _difference(expected: np.ndarray | None, found: np.ndarray) -> float:
    if expected is None or expected.shape != found.shape:
        return float("inf")
    return float(np.abs(expected.astype(np.float64) - found).max(initial=0.0))
