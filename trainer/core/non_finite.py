"""A loss or gradient that is not a number stops every rank before the update, and says where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from schemas.errors import ContractError
from schemas.training_log import rows_text
from trainer.core.backend import Backend, StepTotals
from trainer.core.input.batch import RaggedBatch
from trainer.core.input.order import Position
from trainer.core.input.ragged import take
from trainer.core.input.slots import PackedBatch
from trainer.core.input.training_input import BatchMaker, step_patients
from trainer.core.together import gather, on_every_rank
from trainer.core.world import World
from trainer.readers.base import ShardReader

_MOST_RERUNS = 256
"""Reruns spent on finding the patients, at most: where all are bad, it would take two for each."""


@dataclass(frozen=True)
class Finding:
    """What one rank's part of the step gave that is not finite. Shard rows are no patient data."""

    rank: int
    rows: Mapping[str, Sequence[int]]
    """Shard file → rows in it, from 0: the patients that alone do it, else all of the rank's batch."""
    anomaly: str | None
    """The operation, layer or weight that made the first such value; None if it was not asked for."""

    def __str__(self) -> str:
        shown = [f"{file} {rows_text(rows)}" for file, rows in self.rows.items()]
        parts = [f"rank {self.rank}: {'; '.join(shown)}"] + ([self.anomaly] if self.anomaly else [])
        return ", ".join(parts)


class NotFinite(ContractError):
    """A loss or the gradient became infinite or no number."""

    def __init__(self, step: int, findings: Sequence[Finding], run_uri: str) -> None:
        self.step, self.findings = step, tuple(findings)
        where = " | ".join(map(str, findings)) or "in the sum over ranks; each rank's own part is finite"
        asked = any(finding.anomaly for finding in findings) or not findings
        super().__init__(
            f"step {step} gave a value that is not finite ({where})",
            "such an update is not applied, and training stops on every rank",
            "lower optimizer.learning_rate or raise optimizer.warmup_steps, and start again: it goes on from "
            f"the newest checkpoint in {run_uri}"
            + ("" if asked else "; with --detect_anomaly true it also says which operation made it"),
        )

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(finding) for finding in self.findings]


class Diagnosis:
    """Reruns a step that gave a value that is not finite. Changes nothing."""

    def __init__(
        self,
        backend: Backend,
        world: World,
        reader: ShardReader,
        maker: BatchMaker,
        seed: int,
        run_uri: str,
        *,
        detect_anomaly: bool,
    ) -> None:
        self._backend, self._world = backend, world
        self._reader, self._maker, self._seed = reader, maker, seed
        self._run_uri, self._detect_anomaly = run_uri, detect_anomaly

    def explain(self, step: int, position: Position, packed: PackedBatch, totals: StepTotals) -> NotFinite:
        """The error to stop with, equal on every rank; every rank must ask. position: before the step."""
        own = on_every_rank(
            self._backend, self._world, "diagnosis", lambda: self._look(step, position, packed, totals)
        )
        findings = [
            Finding(**plain) for plain in gather(self._backend, self._world, "findings", own) if plain
        ]
        return NotFinite(step, findings, self._run_uri)

    def _look(
        self, step: int, position: Position, packed: PackedBatch, totals: StepTotals
    ) -> dict[str, Any] | None:
        """This rank's finding as JSON values; None where its own part is finite."""
        if self._backend.step_is_finite(packed, totals, step):
            return None
        batch, key = step_patients(self._reader, self._seed, self._world.rank, position)
        anomaly = None
        if self._detect_anomaly:
            anomaly = self._backend.find_anomaly(packed, totals, step) or "no operation of the rerun made it"
        patients = self._bad_patients(batch, key, totals, step)
        rows = self._reader.locate(batch.row_numbers[patients])
        return asdict(Finding(self._world.rank, rows, anomaly))

    def _bad_patients(self, batch: RaggedBatch, key: np.uint64, totals: StepTotals, step: int) -> np.ndarray:
        """(K,) places in the batch of the patients that alone give such a value; all of them if none does."""
        bad: list[np.ndarray] = []
        groups = [np.arange(batch.num_patients)]
        for _ in range(_MOST_RERUNS):
            if not groups:
                break
            group = groups.pop()
            masked, _ = self._maker.prepare(take(batch, group), key)
            if self._backend.step_is_finite(self._backend.pack(masked), totals, step):
                continue
            if len(group) == 1:
                bad.append(group)
            else:
                groups += reversed(np.array_split(group, 2))
        return np.sort(np.concatenate(bad + groups)) if bad + groups else np.arange(batch.num_patients)
