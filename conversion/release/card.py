"""The part of the model card that a release check writes, between marks: the next check replaces it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from conversion.release.checks import Check

_BEGIN, _END = "<!-- release check: begin -->", "<!-- release check: end -->"
_PART = """{begin}
## Training data

| split | patients | codes | codes a patient: median, 95% | fingerprint |
|---|---|---|---|---|
{splits}

Numbers of patients are rounded to tens. Codes of the vocabulary by system: {systems}.
Fingerprint of the vocabulary that they were written with: `{vocabulary}`.

## Accuracy

At step {step:,}, on {patients} patients of the valid split, each masked code behind [MASK]. Beside it two
baselines that need no model.

| the code is among the first | 1 | 5 | 10 |
|---|---|---|---|
| this model | {model} |
| always the most frequent codes | {most_frequent} |
| the most frequent codes of the patient's other visits | {other_visits} |

Masked-code loss {mlm_loss} nats. Prolonged stay: AUC {los_auc}, {los_base_rate} of the patients have one.

## Release checks: {verdict}

{checks}
{end}
"""


def with_release_part(
    card: str,
    checks: Sequence[Check],
    data: Mapping[str, Any],
    evaluation: Mapping[str, Any],
) -> str:
    """The card with this part at its end; one that an earlier check wrote is replaced."""
    part = _PART.format(
        begin=_BEGIN,
        end=_END,
        splits="\n".join(_split(name, found) for name, found in data["splits"].items()),
        systems=", ".join(f"{system} {number:,}" for system, number in data["codes_by_system"].items()),
        vocabulary=data["splits"]["train"]["vocabulary_fingerprint"][:16],
        step=evaluation["step"],
        patients=_patients(data["splits"]["valid"]),
        model=_shares(evaluation, ""),
        most_frequent=_shares(evaluation, "most_frequent_"),
        other_visits=_shares(evaluation, "other_visits_"),
        mlm_loss=_number(evaluation["mlm_loss"]),
        los_auc=_number(evaluation["los_auc"]),
        los_base_rate=_share(evaluation["los_base_rate"]),
        verdict="passed" if all(check.passed for check in checks) else "FAILED, do not give it away",
        checks="\n".join(
            f"- {'passed' if check.passed else '**failed**'}, {check.name}: {check.in_words}."
            for check in checks
        ),
    )
    kept = re.sub(f"{re.escape(_BEGIN)}.*{re.escape(_END)}\n?", "", card, flags=re.DOTALL)
    return kept.rstrip() + "\n\n" + part


def _split(name: str, found: Mapping[str, Any]) -> str:
    codes = "" if found["codes"] is None else f"{found['codes']:,}"
    lengths = f"{found['median_codes']}, {found['codes_of_95_percent']}" if found["patients"] else ""
    return f"| {name} | {_patients(found)} | {codes} | {lengths} | `{found['fingerprint'][:16]}` |"


def _patients(found: Mapping[str, Any]) -> str:
    return "fewer than 11" if found["patients"] is None else f"{found['patients']:,}"


def _shares(evaluation: Mapping[str, Any], prefix: str) -> str:
    return " | ".join(_share(evaluation[f"{prefix}top_{k}"]) for k in (1, 5, 10))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
