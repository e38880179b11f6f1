"""The conversion's proof, read from conversion_report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports import numbers
from reports.figures import Difference, Picture, parity_bars


@dataclass(frozen=True)
class Parity:
    """Source against converted model, output by output.

    errors, bfloat16_errors: output → largest absolute difference; None where it was no finite number.
    limits: output → what its difference in float32 may be at most.
    facts: (label, value) of the rest of the report.
    """

    errors: Mapping[str, float | None]
    bfloat16_errors: Mapping[str, float | None]
    limits: Mapping[str, float]
    passed: bool
    facts: tuple[tuple[str, str], ...]

    @property
    def worst(self) -> tuple[str, float] | None:
        """The output nearest to its limit, or furthest beyond it, and its difference.

        None when some difference was no finite number.
        """
        found = {name: error for name, error in self.errors.items() if error is not None}
        if not found or len(found) < len(self.errors):
            return None
        name = max(found, key=lambda name: found[name] / self.limits[name])
        return name, found[name]

    @property
    def ok(self) -> bool:
        """What the converter said, checked again here."""
        return self.passed and self.worst is not None and self.worst[1] <= self.limits[self.worst[0]]


def parity_of(report: Mapping[str, Any] | None) -> Parity | None:
    """None when there was no conversion."""
    if not report:
        return None
    found = report["verification"]
    return Parity(
        found["max_abs_error"],
        found["bfloat16_max_abs_error"],
        found["limits"],
        found["passed"],
        tuple(_facts(report, found)),
    )


def _facts(report: Mapping[str, Any], found: Mapping[str, Any]) -> list[tuple[str, str]]:
    variables, source, vocabulary = report["variables"], report["source"], report["vocabulary"]
    ignored = sum(variables["ignored"].values())
    facts = [
        ("converted from", source["name"]),
        ("variables converted", numbers.count(variables["consumed"])),
        ("variables left out on purpose", numbers.count(ignored)),
        *((f"of these: {reason}", numbers.count(number)) for reason, number in variables["ignored"].items()),
        ("weights", numbers.count(variables["values"])),
        ("tokens", numbers.count(vocabulary["tokens"])),
        ("largest difference in float32", _largest(found["max_abs_error"])),
        ("largest difference in bfloat16", _largest(found["bfloat16_max_abs_error"])),
    ]
    if erf := found["erf_gelu_max_abs_difference"]:  # a network without GELU has none
        facts.append(("had GELU's erf form been used instead of tanh", _largest(erf)))
    return facts


def _largest(errors: Mapping[str, float | None]) -> str:
    finite = [error for error in errors.values() if error is not None]
    return numbers.scientific(max(finite)) if finite else numbers.NONE


def parity_picture(parity: Parity) -> Picture | None:
    """Bars for each output, in the network's order; None when no difference is a number."""
    differences = [
        Difference(readable(name), error, parity.limits[name], parity.bfloat16_errors.get(name))
        for name, error in parity.errors.items()
        if error is not None
    ]
    if not differences:
        return None
    listed = ", ".join(f"{d.output} {numbers.scientific(d.float32)}" for d in differences)
    alt = f"Largest absolute difference by output, in float32: {listed}."
    caption = (
        "Largest difference of any value between the checkpoint, run by its own framework, and the converted "
        "model, run by transformers: in float32 (wide bars and figures; the dashed lines are the limits, "
        "which grow with the rounding of float32 itself) and in bfloat16 (thin bars)."
    )
    return Picture("Difference by layer and head", parity_bars("parity", differences, alt), caption)


def readable(output: str) -> str:
    """`layer_0` is layer 1 to a reader, `mlm_log_probs` masked-code log-probabilities."""
    if output.startswith("layer_"):
        return f"layer {int(output.removeprefix('layer_')) + 1}"
    return _OUTPUT_NAMES.get(output, output.replace("_", " "))


_OUTPUT_NAMES = {
    "mlm_log_probs": "masked-code log-probs",
    "los_log_probs": "stay log-probs",
    "mlm_loss": "masked-code loss",
    "los_loss": "stay loss",
}
