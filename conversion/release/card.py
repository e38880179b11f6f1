"""What a release check says on the model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conversion.release.checks import Check
from schemas.small_cells import published_in_words

_PART = """## Training data

| split | patients | codes | codes a patient: median, 95% | fingerprint |
|---|---|---|---|---|
{splits}

Numbers of patients are rounded to tens. Codes of the vocabulary by system: {systems}.
Fingerprint of the vocabulary that they were written with: `{vocabulary}`.

## Accuracy

{accuracy}

## Release checks: {verdict}

{checks}

Not compared with anything: {not_compared}.
"""
_ACCURACY = """At step {step:,}, on {patients} patients of the valid split,
each masked code behind [MASK]. Beside it two baselines that need no model.

| the code is among the first | 1 | 5 | 10 |
|---|---|---|---|
| this model | {model} |
| always the most frequent codes | {most_frequent} |
| the most frequent codes of the patient's other visits | {other_visits} |

Masked-code loss {mlm_loss} nats. Prolonged stay: {stay}."""
_NOT_KNOWN = "Not known: no log of its pretraining was given, or too few patients were evaluated to tell."


def release_part(checks: Sequence[Check], data: Mapping[str, Any], accuracy: Mapping[str, Any] | None) -> str:
    """Markdown. data, accuracy: as conversion.release.summary gives them."""
    return _PART.format(
        splits="\n".join(_split(name, found) for name, found in data["splits"].items()),
        systems=", ".join(f"{system} {number:,}" for system, number in data["codes_by_system"].items()),
        vocabulary=data["splits"]["train"]["vocabulary_fingerprint"][:16],
        accuracy=_NOT_KNOWN if accuracy is None else _accuracy(accuracy),
        verdict="passed" if all(check.passed for check in checks) else "FAILED, do not give it away",
        checks="\n".join(
            f"- {'passed' if check.passed else '**failed**'}, {check.name}: {check.in_words}."
            for check in checks
        ),
        not_compared="; ".join(what for check in checks for what in check.not_compared) or "nothing else",
    )


def _accuracy(accuracy: Mapping[str, Any]) -> str:
    return _ACCURACY.format(
        step=accuracy["step"],
        patients=published_in_words(accuracy["patients"]),
        model=_shares(accuracy, ""),
        most_frequent=_shares(accuracy, "most_frequent_"),
        other_visits=_shares(accuracy, "other_visits_"),
        mlm_loss=_number(accuracy["mlm_loss"]),
        stay=_stay(accuracy["los_auc"], accuracy["los_base_rate"]),
    )


def _stay(auc: float | None, base_rate: float | None) -> str:
    if base_rate is None:
        return "too few patients to tell"
    return f"AUC {_number(auc)}, {_share(base_rate)} of the patients have one"


def _split(name: str, found: Mapping[str, Any]) -> str:
    codes = "" if found["codes"] is None else f"{found['codes']:,}"
    lengths = (
        "" if found["median_codes"] is None else f"{found['median_codes']}, {found['codes_of_95_percent']}"
    )
    patients = published_in_words(found["patients"])
    return f"| {name} | {patients} | {codes} | {lengths} | `{found['fingerprint'][:16]}` |"


def _shares(accuracy: Mapping[str, Any], prefix: str) -> str:
    return " | ".join(_share(accuracy[f"{prefix}top_{k}"]) for k in (1, 5, 10))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
