"""The conversion's proof, read from conversion_report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports import numbers
from reports.figures import Picture, parity_bars


@dataclass(frozen=True)
class Parity:
    """Source against converted model, output by output.

    errors: output → largest absolute difference in float32; None where it was no finite number.
    facts: (label, value) of the rest of the report.
    """

    errors: Mapping[str, float | None]
    tolerance: float
    passed: bool
    facts: tuple[tuple[str, str], ...]

    @property
    def largest(self) -> float | None:
        """None when some error was no finite number."""
        found = [error for error in self.errors.values() if error is not None]
        return max(found) if found and len(found) == len(self.errors) else None

    @property
    def ok(self) -> bool:
        """What the converter said, checked again here."""
        return self.passed and self.largest is not None and self.largest <= self.tolerance


def parity_of(report: Mapping[str, Any] | None) -> Parity | None:
    """None when there was no conversion."""
    if not report:
        return None
    found = report["verification"]
    return Parity(found["max_abs_error"], found["tolerance"], found["passed"], tuple(_facts(report, found)))


def _facts(report: Mapping[str, Any], found: Mapping[str, Any]) -> list[tuple[str, str]]:
    variables, source, vocabulary = report["variables"], report["source"], report["vocabulary"]
    ignored = sum(variables["ignored"].values())
    facts = [
        ("converted from", f"{source['name']}, step {numbers.count(source['step'])}"),
        ("variables converted", numbers.count(variables["consumed"])),
        ("variables left out on purpose", numbers.count(ignored)),
        *((f"of these: {reason}", numbers.count(number)) for reason, number in variables["ignored"].items()),
        ("weights", numbers.count(variables["values"])),
        ("tokens", numbers.count(vocabulary["tokens"])),
        ("largest difference in bfloat16", _largest(found["bfloat16_max_abs_error"])),
        ("had GELU's erf form been used instead of tanh", _largest(found["erf_gelu_max_abs_difference"])),
    ]
    return facts


def _largest(errors: Mapping[str, float | None]) -> str:
    finite = [error for error in errors.values() if error is not None]
    return numbers.scientific(max(finite)) if finite else numbers.NONE


def parity_picture(parity: Parity) -> Picture | None:
    """A bar for each output, in the network's order; None when no error is a number."""
    errors = [(readable(name), error) for name, error in parity.errors.items() if error is not None]
    if not errors:
        return None
    alt = (
        "Largest absolute difference by output: "
        + ", ".join(f"{name} {numbers.scientific(error)}" for name, error in errors)
        + "."
    )
    caption = (
        "Largest difference of any value between the checkpoint, run by its own framework, and the converted "
        "model, run by transformers, in float32. The dashed line is the tolerance, "
        f"{numbers.scientific(parity.tolerance)}."
    )
    return Picture(
        "Difference by layer and head", parity_bars("parity", errors, parity.tolerance, alt), caption
    )


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
