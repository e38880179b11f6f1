"""The verdict of `make release-check`, read from release_report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.collect import MODEL_FOLDER, Run

_MEMBERSHIP = "membership inference"


@dataclass(frozen=True)
class Release:
    """checks: (name, passed, note). is_current: whether it was this very model that was checked.

    A note shows no number of patients: those are rounded where the run has small groups.
    """

    checks: tuple[tuple[str, bool, str], ...]
    is_current: bool

    @property
    def passed(self) -> bool:
        return self.is_current and all(passed for _, passed, _ in self.checks)


def release_of(run: Run) -> Release | None:
    """None when the model was not checked."""
    manifest = run.manifest(MODEL_FOLDER)
    if not run.release or not manifest:
        return None
    checks = tuple((check["name"], check["passed"], _note(check)) for check in run.release["checks"])
    return Release(checks, run.release["model_fingerprint"] == manifest.fingerprint)


def _note(check: Mapping[str, Any]) -> str:
    if check["name"] != _MEMBERSHIP:
        return ""
    found = check["found"]
    low, high = found["interval_95"]
    return (
        f"training patients are told from held-out ones with an AUC of {found['auc']:.3f} (95% interval "
        f"{low:.3f} to {high:.3f}, at most {found['max_auc']} passes)"
    )
