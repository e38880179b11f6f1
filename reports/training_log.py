"""A pretraining folder's log, and what happened to the run that wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from reports.files import read_json
from schemas.manifest import join
from schemas.training_log import (
    CONFIG_FILE,
    EVAL,
    METRICS_FILE,
    START,
    STOP,
    TRAIN,
    metric,
    read_log,
    rows_text,
)

NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Event:
    """A start after the first, or a stop. step: after which; seconds: of training in all until then."""

    step: int
    seconds: float
    text: str
    is_failure: bool = False


@dataclass(frozen=True)
class TrainingLog:
    """The lines of metrics.jsonl (schemas.training_log), as they stand there, and config.json."""

    entries: tuple[dict[str, Any], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def starts(self) -> tuple[dict[str, Any], ...]:
        return self._of(START)

    @cached_property
    def train(self) -> tuple[dict[str, Any], ...]:
        return self._of(TRAIN)

    @cached_property
    def evaluations(self) -> tuple[dict[str, Any], ...]:
        return self._of(EVAL)

    @property
    def is_finished(self) -> bool:
        return bool(self.starts and self.train) and self.train[-1]["step"] >= self.starts[-1]["steps"]

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened to the run, in order."""
        found, before = [], None
        for entry, seconds in self.timed():
            if entry["kind"] == START:
                if before is not None:
                    found.append(Event(entry["step"], seconds, _restart(before, entry)))
                before = entry
            elif entry["kind"] == STOP:
                is_failure = entry.get("reason") == NOT_FINITE
                found.append(Event(entry["step"], seconds, _stop(entry), is_failure))
        return tuple(found)

    @property
    def failure(self) -> Event | None:
        """What the run ended with, if it was an error and the run was not started again."""
        last = self.events[-1] if self.events else None
        return last if last and last.is_failure else None

    def timed(self) -> Iterator[tuple[dict[str, Any], float]]:
        """Every line, and the seconds of training until then of all processes that went before it."""
        before = now = 0.0
        for entry in self.entries:
            if entry["kind"] == START:
                before = now
            seconds = metric(entry, "seconds")
            now = now if seconds is None else before + seconds
            yield entry, now

    def _of(self, kind: str) -> tuple[dict[str, Any], ...]:
        return tuple(entry for entry in self.entries if entry["kind"] == kind)


def read_training_log(uri: str) -> TrainingLog | None:
    """The log of a pretraining folder; None when there is none. Raises ContractError."""
    entries = read_log(join(uri, METRICS_FILE))
    if entries is None:
        return None
    return TrainingLog(tuple(entries), read_json(join(uri, CONFIG_FILE)) or {})


def _restart(before: dict[str, Any], now: dict[str, Any]) -> str:
    was, ranks = before.get("world_size"), now.get("world_size")
    if was != ranks:
        return f"Went on from step {now['step']:,} with {ranks} rank(s); before, there were {was}."
    return f"Went on from step {now['step']:,}."


def _stop(entry: dict[str, Any]) -> str:
    if entry.get("reason") == NOT_FINITE:
        found = "; ".join(map(_finding, entry.get("found", ())))
        where = found or "only the sum over ranks, each rank's own part was finite"
        return f"Step {entry['step'] + 1:,} gave a value that is not finite and was not applied: {where}."
    ranks = ", ".join(map(str, entry.get("ranks", ())))
    reason = entry.get("reason", "no reason given")
    return f"Asked to stop ({reason} on rank {ranks}) and did, after step {entry['step']:,}."


def _finding(found: dict[str, Any]) -> str:
    """Which rank, which shard rows (no patient data), which operation."""
    rows = "; ".join(f"{file} {rows_text(rows)}" for file, rows in found["rows"].items())
    return f"rank {found['rank']}: {rows}" + (f", {found['anomaly']}" if found["anomaly"] else "")
